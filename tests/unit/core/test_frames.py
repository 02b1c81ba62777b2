"""The schemas refuse what does not hold them."""

from __future__ import annotations

import pandas as pd
import pytest

from core.errors import DataError
from core.frames import ACTIONS, BARS


def actions() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "symbol": ["AAPL", "AAPL"],
            "session": pd.to_datetime(["2020-08-31", "2020-08-07"]),
            "kind": ["split", "dividend"],
            "value": [4, 0.82],
        }
    )


def test_coerce_sorts_and_casts() -> None:
    frame = ACTIONS.coerce(actions())
    assert list(frame["kind"]) == ["dividend", "split"]
    assert frame["value"].dtype == "float64"


def test_a_missing_column_is_named() -> None:
    with pytest.raises(DataError, match="'value'"):
        ACTIONS.coerce(actions().drop(columns="value"))
    with pytest.raises(DataError, match="'value'"):
        ACTIONS.check(actions().drop(columns="value"))


def test_a_missing_value_is_refused_where_the_schema_has_none() -> None:
    frame = ACTIONS.coerce(actions())
    frame.loc[0, "value"] = float("nan")
    with pytest.raises(DataError, match="no missing value, found 1"):
        ACTIONS.check(frame)


def test_duplicate_keys_are_refused() -> None:
    frame = ACTIONS.coerce(actions())
    with pytest.raises(DataError, match="unique rows sorted"):
        ACTIONS.check(pd.concat([frame, frame], ignore_index=True).sort_values("session", ignore_index=True))


def test_a_wrong_dtype_is_refused() -> None:
    frame = ACTIONS.coerce(actions()).astype({"value": "float32"})
    with pytest.raises(DataError, match="expected float64, found float32"):
        ACTIONS.check(frame)


def test_an_empty_frame_holds_its_own_schema() -> None:
    assert len(BARS.check(BARS.empty())) == 0
