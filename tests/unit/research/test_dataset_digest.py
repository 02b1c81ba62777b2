"""The digest of a dataset's bars: the order of rows and columns means nothing, every value does."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.frames import ACTIONS
from research.dataset_digest import VALUES, differences, digest_of, digest_parts
from tests.standins.feed import walk

BARS = pd.concat([walk(name, dt.date(2018, 1, 2), dt.date(2018, 3, 29)) for name in ("AAA", "BBB")], ignore_index=True)
NONE = ACTIONS.empty()


def whole(bars: pd.DataFrame, actions: pd.DataFrame = NONE) -> str:
    return digest_of(digest_parts(bars, actions))


@given(st.randoms(use_true_random=False))
def test_the_order_of_rows_and_columns_and_further_columns_do_not_matter(random: object) -> None:
    rows, columns = list(BARS.index), list(BARS.columns)
    random.shuffle(rows)  # type: ignore[attr-defined]
    random.shuffle(columns)  # type: ignore[attr-defined]
    shuffled = BARS.loc[rows, columns].assign(known_at=pd.Timestamp.now(tz="UTC"))
    assert whole(shuffled) == whole(BARS)


@given(st.integers(0, len(BARS) - 1), st.sampled_from(VALUES))
def test_the_last_bit_of_any_value_changes_the_digest_and_the_part_is_named(row: int, column: str) -> None:
    changed = BARS.copy()
    changed.loc[row, column] = np.nextafter(changed.loc[row, column], np.inf)

    assert whole(changed) != whole(BARS)
    month = f"{BARS.loc[row, 'session']:%Y-%m}"
    (phrase,) = differences(digest_parts(BARS, NONE), digest_parts(changed, NONE))
    assert phrase.startswith(f"{BARS.loc[row, 'symbol']} {month} (")
    assert phrase.endswith("bars, other values)")


def test_a_golden_digest_holds_on_every_machine() -> None:
    bar = {"symbol": "AAA", "session": pd.Timestamp("2018-01-02"), **dict.fromkeys(VALUES, 1.0)}
    assert whole(pd.DataFrame([bar])) == "c9ee6b7e4f5bc35c7c8ca1cbc69e13e765d75c51696ac90fcb2295e916e764da"


def test_a_negative_zero_is_zero() -> None:
    still = BARS.assign(volume=0.0)
    assert whole(still.assign(volume=-0.0)) == whole(still)


@pytest.mark.parametrize("lost", ["AAA", "BBB"])
def test_missing_bars_and_symbols_are_named_with_their_numbers(lost: str) -> None:
    parts = digest_parts(BARS, NONE)
    without = digest_parts(BARS[BARS["symbol"] != lost], NONE)
    assert differences(parts, without) == [
        f"{lost} 2018-01 (21 bars frozen, 0 found)",
        f"{lost} 2018-02 (19 bars frozen, 0 found)",
        f"{lost} 2018-03 (21 bars frozen, 0 found)",
    ]


def test_corporate_actions_belong_to_the_content() -> None:
    split = ACTIONS.coerce(
        pd.DataFrame([{"symbol": "AAA", "session": pd.Timestamp("2018-02-01"), "kind": "split", "value": 2.0}])
    )
    assert whole(BARS, split) != whole(BARS)
    assert differences(digest_parts(BARS, NONE), digest_parts(BARS, split)) == ["AAA actions (0 frozen, 1 found)"]
