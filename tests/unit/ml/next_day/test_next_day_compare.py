"""Two next-day models compared: when it is decided, for whom, and how often for no reason."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from core.errors import DataError
from core.frames import FEATURES
from core.sessions import sessions_between
from ml.next_day.next_day import NextDay
from ml.next_day.next_day_compare import NextDayTerms, decide_next_day, squared_errors

SESSIONS = sessions_between(pd.Timestamp("2015-01-02").date(), pd.Timestamp("2015-12-31").date())
SYMBOLS = 5
TERMS = NextDayTerms(sessions=60, resamples=500)


def errors(rng: np.random.Generator, sessions: int = 60, saved: float = 0.0) -> pd.DataFrame:
    """Squared errors of two models that share their market; the challenger saves a part of the champion's on average."""
    market = rng.standard_t(5, (sessions, 1))
    own = rng.standard_t(5, (sessions, SYMBOLS))
    apart = 0.05 * rng.normal(size=(2, sessions, SYMBOLS))
    champion, challenger = ((market + own - each) ** 2 for each in apart)
    frame = {"session": np.repeat(SESSIONS[:sessions], SYMBOLS), "champion": champion.ravel()}
    return pd.DataFrame(frame | {"challenger": (challenger * (1 - saved)).ravel()})


def test_it_is_decided_once_there_are_as_many_sessions_as_agreed() -> None:
    early = decide_next_day(errors(np.random.default_rng(1), 59, saved=0.5), TERMS)
    due = decide_next_day(errors(np.random.default_rng(1), 60, saved=0.5), TERMS)

    assert (early.kind, early.reason) == ("extend", "It is decided after 60 fresh sessions; 59 are known.")
    assert (due.kind, due.sessions, due.rows) == ("promote", 60, 300)
    assert due.saved.value == pytest.approx(0.5, abs=0.01)
    assert due.saved.low is not None
    assert 0 < due.saved.low < due.saved.value


def test_sessions_beyond_the_agreed_ones_change_nothing() -> None:
    rows = errors(np.random.default_rng(1), 90, saved=0.1)
    spoiled = rows.assign(challenger=rows["challenger"].where(rows["session"] <= SESSIONS[59], 1e9))

    assert decide_next_day(spoiled, TERMS) == decide_next_day(rows, TERMS)


def test_a_worse_and_an_equal_challenger_leave_the_champion() -> None:
    worse = decide_next_day(errors(np.random.default_rng(2), saved=-0.2), TERMS)
    same = decide_next_day(errors(np.random.default_rng(2)).assign(challenger=lambda rows: rows["champion"]), TERMS)

    assert worse.kind == "keep"
    assert worse.reason.startswith("The champion is better: the challenger saves -20")
    assert (same.kind, same.p_value, same.saved.value) == ("keep", 1.0, 0.0)
    assert same.reason.startswith("Inconclusive, the champion stays")


def test_without_a_difference_few_are_promoted() -> None:
    rng = np.random.default_rng(3)
    promoted = sum(decide_next_day(errors(rng), TERMS).kind == "promote" for _ in range(200))

    assert promoted <= 11, "2.5 % of 200 are 5; 11 or fewer with probability 0.997"


def test_an_empty_window_is_extended() -> None:
    found = decide_next_day(errors(np.random.default_rng(1)).iloc[:0], TERMS)

    assert (found.kind, found.sessions, found.saved.value) == ("extend", 0, 0.0)


def test_the_record_has_the_form_of_every_decision() -> None:
    report = decide_next_day(errors(np.random.default_rng(1), saved=0.5), TERMS).report("7")

    assert report["sessions"] == 60
    (compared,) = report["comparisons"]
    assert (compared["challenger"], compared["pairs"]) == ("7", 300)
    assert set(compared["paired"]) == {"value", "low", "high"}


def test_errors_are_in_units_of_the_rows_volatility() -> None:
    class Zero:
        def predict(self, X: pd.DataFrame) -> np.ndarray:
            return np.zeros(len(X))

    rows = pd.DataFrame({name: [0.01, 0.02, np.nan] for name in FEATURES}).assign(target=[0.03, 0.03, 0.03])
    model = NextDay(Zero(), np.array([-1.0, 1.0]), typical_scale=99.0)

    assert squared_errors(model, rows, typical=0.03).tolist() == pytest.approx([9.0, 2.25, 1.0])
    with pytest.raises(DataError, match="needs 'moon', which is no longer made"):
        squared_errors(NextDay(Zero(), np.array([0.0]), 0.01, (*FEATURES, "moon")), rows, typical=0.03)
