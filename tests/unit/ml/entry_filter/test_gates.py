"""What stands against a training and against a promotion."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from ml.entry_filter.gates import Limits, blocks, objections


def result(**changes: Any) -> Any:
    """A training that passes, but for the changes."""
    fit = {"out_of_sample": range(500), "auc": 0.6, "auc_low": 0.55, "log_loss": 0.60, "calibration_error": 0.03, **changes}
    return SimpleNamespace(models={"m": SimpleNamespace(**fit)}, chosen="m", baseline=SimpleNamespace(log_loss=0.65))


def test_a_good_training_may_challenge() -> None:
    assert objections(result(), [], Limits()) == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"out_of_sample": range(199)}, "199 candidates out of sample, 200 are needed"),
        ({"auc_low": 0.5}, "no better than chance"),
        ({"auc_low": float("nan")}, "no better than chance"),
        ({"log_loss": 0.65}, "log loss 0.6500, the constant rate has 0.6500"),
        ({"calibration_error": 0.11}, "calibration error 0.110, at most 0.100 is allowed"),
        ({"calibration_error": float("nan")}, "calibration error nan"),
    ],
)
def test_each_gate_says_what_it_found(changes: dict[str, Any], said: str) -> None:
    found = objections(result(**changes), [], Limits())

    assert len(found) == 1
    assert said in found[0]


def test_a_leak_stands_against_any_model() -> None:
    assert objections(result(), ["rsi_14 of SPY changes with later bars"], Limits()) == [
        "leakage: rsi_14 of SPY changes with later bars"
    ]


def test_a_promotion_needs_more_than_the_luck_of_many_trials() -> None:
    limits = {"least_deflated_sharpe": 0.95, "most_overfitting": 0.5}

    assert blocks(0.96, 0.4, **limits) == []
    assert blocks(0.90, 0.6, **limits) == [
        "deflated Sharpe ratio of the filtered strategy 0.900, at least 0.950 is needed",
        "probability of overfitting 0.600, at most 0.500 is allowed",
    ]
    assert len(blocks(None, None, **limits)) == 2, "what is undefined is no evidence"
    assert blocks(None, None, least_deflated_sharpe=0, most_overfitting=1) == []
