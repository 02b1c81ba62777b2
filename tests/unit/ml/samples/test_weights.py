"""Uniqueness of labels: a computed example, and what holds of any."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import DataError
from core.sessions import closes_of, sessions_between
from ml.samples.weights import average_uniqueness, sample_weights

CLOSES = closes_of(sessions_between(pd.Timestamp("2015-01-02").date(), pd.Timestamp("2015-12-30").date()))
LABELS = st.lists(st.tuples(st.integers(0, 60), st.integers(1, 12)), min_size=1, max_size=60)


def candidates(symbol: str, decided: list[int], ended: list[int]) -> pd.DataFrame:
    return pd.DataFrame({"symbol": symbol, "event_timestamp": CLOSES[decided], "label_end": CLOSES[ended]})


def test_two_labels_that_share_two_of_three_bars_say_two_thirds_each() -> None:
    """Bars 1 to 3 and 2 to 4 share bars 2 and 3: (1 + 1/2 + 1/2) / 3 each. Bar 6 is a label's own."""
    assert average_uniqueness(np.array([1, 2, 6]), np.array([4, 5, 7])).tolist() == pytest.approx([2 / 3, 2 / 3, 1])


def test_candidates_weigh_what_their_sessions_say_of_each_symbol_alone() -> None:
    """Decided at the close of 10, ended at 13: sessions 11, 12, 13. Another symbol's trade on the same days takes nothing."""
    frame = pd.concat([candidates("AAA", [10, 11, 15], [13, 14, 16]), candidates("BBB", [10], [13])], ignore_index=True)

    mean = (2 / 3 + 2 / 3 + 1 + 1) / 4
    assert sample_weights(frame).tolist() == pytest.approx([2 / 3 / mean, 2 / 3 / mean, 1 / mean, 1 / mean])


@given(LABELS)
def test_it_is_what_the_definition_says_bar_by_bar(labels: list[tuple[int, int]]) -> None:
    begin, end = np.array([at for at, _ in labels]), np.array([at + held for at, held in labels])
    bars = np.arange(end.max())
    spans = (begin[:, None] <= bars) & (bars < end[:, None])
    shares = np.divide(spans, spans.sum(axis=0), out=np.zeros(spans.shape), where=spans)

    found = average_uniqueness(begin, end)

    np.testing.assert_allclose(found, shares.sum(axis=1) / spans.sum(axis=1))
    assert ((found > 0) & (found <= 1 + 1e-12)).all()
    assert (found * (end - begin)).sum() == pytest.approx(spans.any(axis=0).sum()), "every covered bar is given away once"


@given(LABELS, st.randoms(use_true_random=False))
def test_the_order_of_labels_changes_nothing_and_a_copy_halves_what_is_unique(
    labels: list[tuple[int, int]], random: np.random.Generator
) -> None:
    begin, end = np.array([at for at, _ in labels]), np.array([at + held for at, held in labels])
    order = list(range(len(labels)))
    random.shuffle(order)

    found = average_uniqueness(begin, end)

    np.testing.assert_allclose(average_uniqueness(begin[order], end[order]), found[order])
    np.testing.assert_allclose(average_uniqueness(np.tile(begin, 2), np.tile(end, 2)), np.tile(found / 2, 2))


def test_a_label_of_no_bar_is_refused_and_no_labels_are_no_weights() -> None:
    with pytest.raises(DataError, match="1 that span none"):
        average_uniqueness(np.array([3, 5]), np.array([3, 6]))
    assert len(average_uniqueness(np.array([], dtype=np.int64), np.array([], dtype=np.int64))) == 0
