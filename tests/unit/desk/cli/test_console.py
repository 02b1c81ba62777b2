"""What the terminal shows of a training."""

from __future__ import annotations

from io import StringIO
from typing import TYPE_CHECKING

from rich.console import Console

from desk.cli import console

if TYPE_CHECKING:
    import pytest

FIGURES = {"trade_count": 857, "total_return": -0.3288, "sharpe": -1.0, "cost_usd": 12090.2}


def test_a_training_is_a_table_of_plain_figures_and_one_of_its_backtests(monkeypatch: pytest.MonkeyPatch) -> None:
    page = StringIO()
    monkeypatch.setattr(console, "console", Console(file=page, width=160))
    held = {name: value for name, value in FIGURES.items() if name != "trade_count"}
    outcome = {
        "session": "2021-12-31",
        "auc": {"logistic": 0.54389},
        "fresh_window": [],
        "unfiltered": FIGURES,
        "buy_and_hold": held,
    }

    console.show_training("Training", outcome)

    lines = [" ".join(line.replace("│", " ").split()) for line in page.getvalue().splitlines()]
    assert "auc, logistic 0.5439" in lines
    assert "unfiltered 857 -32.88% -1.00 12,090" in lines
    assert "buy_and_hold - -32.88% -1.00 12,090" in lines
    assert "{" not in page.getvalue()


def test_champion_and_fresh_model_stand_side_by_side(monkeypatch: pytest.MonkeyPatch) -> None:
    page = StringIO()
    monkeypatch.setattr(console, "console", Console(file=page, width=160))
    fresh = [{"model": "champion", "rmse": 0.02}, {"model": "fresh", "rmse": 0.03}]

    console.show_training("Next-day return", {"session": "2021-12-31", "fresh_window": fresh})

    assert "On what came" in page.getvalue()
    assert [line.split()[1] for line in page.getvalue().splitlines() if "0.0" in line] == ["champion", "fresh"]
