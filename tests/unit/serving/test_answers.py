"""Answers as bytes are what pydantic would have written, but for the order of their members."""

from __future__ import annotations

import datetime as dt
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.frames import FEATURES
from serving import answers
from serving.problems import Unanswerable
from serving.schemas import EntryPrediction, NextDayPrediction
from storage.trading.served import ENTRY, NEXT_DAY, Served

NOW = dt.datetime(2026, 11, 20, 21, 30, 0, 120_000, tzinfo=dt.UTC)
ROW = Served(
    served_at=NOW, kind=ENTRY, strategy="bollinger", symbol="^GSPC", session=dt.date(2026, 11, 20),
    for_session=dt.date(2026, 11, 23), arm="challenger-2", model_name='a "name"\\ü\x00', model_version="3",
    probability=0.1 + 0.2, predicted_return=-1e-5, low=None, high=None, confidence=0.4, signal="skip", source="online",
    feature_timestamp=None, feature_hash="0123456789abcdef", features=[0.5] * len(FEATURES), latency_us=1,
)  # fmt: skip
TOMORROW = ROW._replace(kind=NEXT_DAY, strategy="", probability=None, low=-0.02, high=1e22, signal="BUY")
finite = st.floats(allow_nan=False, allow_infinity=False)
share = st.floats(0, 1)


@given(probability=share, expected=finite, confidence=share, seen=st.none() | st.just(NOW), at=st.sampled_from([0, 7, 500_000]))
def test_an_entrys_answer_is_its_schemas(
    probability: float, expected: float, confidence: float, seen: dt.datetime | None, at: int
) -> None:
    row = ROW._replace(
        served_at=NOW.replace(microsecond=at),
        probability=probability,
        predicted_return=expected,
        confidence=confidence,
        feature_timestamp=seen,
    )

    content = answers.entry_json(row)

    whole = EntryPrediction.model_validate_json(content)
    assert json.loads(content) == json.loads(whole.model_dump_json())
    assert (whole.probability, whole.predicted_return, whole.confidence) == (probability, expected, confidence)
    assert (whole.timestamp, whole.model_name, whole.feature_timestamp) == (row.served_at, row.model_name, seen)


@given(expected=finite, low=finite, high=finite, confidence=share)
def test_a_next_days_answer_is_its_schemas(expected: float, low: float, high: float, confidence: float) -> None:
    content = answers.next_day_json(TOMORROW._replace(predicted_return=expected, low=low, high=high, confidence=confidence))

    whole = NextDayPrediction.model_validate_json(content)
    assert json.loads(content) == json.loads(whole.model_dump_json())
    assert (whole.predicted_return, whole.low, whole.high, whole.confidence) == (expected, low, high, confidence)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_number_that_json_does_not_have_is_not_answered(value: float) -> None:
    with pytest.raises(Unanswerable, match="far too large"):
        answers.entry_json(ROW._replace(predicted_return=value))
    for name in ("low", "high"):
        with pytest.raises(Unanswerable, match="far too large"):
            answers.next_day_json(TOMORROW._replace(**{name: value}))
