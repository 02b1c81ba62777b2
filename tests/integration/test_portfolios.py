"""Portfolios and validations on a real PostgreSQL: the newest is read, a past session sees no later one."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa

from storage.research.portfolios import Portfolios

if TYPE_CHECKING:
    from sqlalchemy import Engine

pytestmark = pytest.mark.integration
MONDAY, TUESDAY = dt.date(2020, 3, 2), dt.date(2020, 3, 3)
MEMBERS = [
    {"strategy": "rsi", "symbol": "AAPL", "params": {"oversold": 25.0, "stop_pct": None}, "usd": 60_000.0},
    {"strategy": "gap", "symbol": "MSFT", "params": {}, "usd": 40_000.0},
]


def saved(engine: Engine, session: dt.date, method: str = "equal") -> int:
    return Portfolios(engine).save(session=session, method=method, members=MEMBERS, figures={"sharpe": None, "members": 2})


def test_nothing_stored_is_none(database: Engine) -> None:
    assert Portfolios(database).latest() is None
    assert Portfolios(database).latest_validation(1) is None


def test_a_portfolio_is_read_again_as_it_was_saved(database: Engine) -> None:
    number = saved(database, MONDAY)

    found = Portfolios(database).latest()

    assert found is not None
    assert (found.id, found.session, found.method) == (number, MONDAY, "equal")
    assert found.members == MEMBERS
    assert found.figures == {"sharpe": None, "members": 2}
    assert found.created_at.tzinfo is not None


def test_the_newest_is_in_force_and_a_past_session_sees_no_later_one(database: Engine) -> None:
    monday, tuesday = saved(database, MONDAY), saved(database, TUESDAY, "inverse_volatility")

    assert Portfolios(database).latest().id == tuesday  # type: ignore[union-attr]
    assert Portfolios(database).latest(TUESDAY).id == tuesday  # type: ignore[union-attr]
    assert Portfolios(database).latest(MONDAY).id == monday  # type: ignore[union-attr]
    assert Portfolios(database).latest(dt.date(2020, 3, 1)) is None


def test_a_portfolio_saved_again_for_a_session_replaces_it_and_the_first_stays(database: Engine) -> None:
    first, second = saved(database, MONDAY), saved(database, MONDAY)

    assert Portfolios(database).latest(MONDAY).id == second  # type: ignore[union-attr]
    with database.connect() as connection:
        stored = connection.execute(sa.text("SELECT id FROM research.portfolios ORDER BY id")).scalars().all()
    assert stored == [first, second]


def test_a_validation_belongs_to_its_portfolio(database: Engine) -> None:
    first, second = saved(database, MONDAY), saved(database, MONDAY)
    report = {"rules": [{"name": "loss_at_risk", "found": 0.9, "limit": 1.0, "status": "PASS"}]}
    Portfolios(database).save_validation(portfolio_id=first, session=MONDAY, status="FAIL", report={})
    number = Portfolios(database).save_validation(portfolio_id=first, session=TUESDAY, status="PASS", report=report)

    found = Portfolios(database).latest_validation(first)

    assert found is not None
    assert (found.id, found.portfolio_id, found.session, found.status) == (number, first, TUESDAY, "PASS")
    assert found.report == report
    assert Portfolios(database).latest_validation(first, MONDAY).status == "FAIL"  # type: ignore[union-attr]
    assert Portfolios(database).latest_validation(second) is None


def test_a_validation_of_no_portfolio_is_refused(database: Engine) -> None:
    with pytest.raises(sa.exc.IntegrityError):
        Portfolios(database).save_validation(portfolio_id=99, session=MONDAY, status="PASS", report={})
