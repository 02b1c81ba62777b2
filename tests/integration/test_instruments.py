"""The table of instruments: who speaks, who counts, and the calendars that follow."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa

from core.errors import ConfigError
from core.models import Instrument
from core.sessions import calendar_name
from ingestion.providers.yahoo_instruments import fields_of
from pipeline.accounts.venue_grid import VenueGrid
from pipeline.data import ingest
from pipeline.data import instruments as step
from pipeline.resources import Resources
from tests.standins.feed import Feed, walk

if TYPE_CHECKING:
    from core.settings import Settings

pytestmark = pytest.mark.integration
START, END = dt.date(2018, 1, 2), dt.date(2018, 12, 14)


@pytest.fixture
def desk(database_settings: Settings) -> Resources:
    made = Resources(database_settings.with_changes(universe=("AAA", "VOD.L", "DOT-USD")))
    made.engine  # noqa: B018 - opened
    return made


def test_without_a_statement_the_rule_speaks(desk: Resources) -> None:
    found = {
        each.symbol: (each.asset_class.value, each.currency, each.calendar) for each in step.list_instruments(resources=desk)
    }

    assert found == {
        "AAA": ("equity", "USD", "XNYS"),
        "DOT-USD": ("crypto", "USD", "24/7"),
        "VOD.L": ("equity", "GBp", "XLON"),
    }


def test_a_correction_is_kept_with_its_source_and_in_force_at_the_next_start(desk: Resources) -> None:
    desk.instruments.record("AAA", {"calendar": "XPAR", "currency": "EUR"}, source="yfinance", recorded_at=desk.clock())

    record = step.correct("aaa", {"calendar": "LSE", "price_tick": "0.05"}, resources=desk)

    assert (record.calendar, record.currency, record.price_tick) == ("XLON", "EUR", Decimal("0.05"))
    assert (record.sources["calendar"], record.sources["currency"]) == ("person", "yfinance")
    assert calendar_name("AAA") == "XLON"
    again = Resources(desk.settings)
    assert step.list_instruments(["AAA"], resources=again) == [record]
    assert calendar_name("AAA") == "XLON"


def test_a_database_without_corrections_takes_those_of_another_back(desk: Resources) -> None:
    from core.sessions import correct_calendars

    correct_calendars({"AAA": "XLON"})

    Resources(desk.settings).engine  # noqa: B018 - opened

    assert calendar_name("AAA") == "XNYS"


def test_a_wrong_correction_stores_nothing(desk: Resources) -> None:
    with pytest.raises(ConfigError, match="Did you mean"):
        step.correct("AAA", {"currency": "EUR", "calendar": "XNYZ"}, resources=desk)

    assert desk.instruments.statements() == []


def test_the_same_statement_again_adds_nothing_and_a_new_one_keeps_the_old(desk: Resources) -> None:
    noon = dt.datetime(2024, 1, 2, 12, tzinfo=dt.UTC)

    counts = [
        desk.instruments.record("AAA", {"currency": value}, source="yfinance", recorded_at=noon + dt.timedelta(hours=hour))
        for hour, value in enumerate(("USD", "USD", "EUR"))
    ]

    assert counts == [1, 0, 1]
    assert desk.instruments.read(["AAA"])[0].currency == "EUR"
    with desk.engine.connect() as connection:
        assert connection.execute(sa.text("SELECT count(*) FROM market.instruments")).scalar_one() == 2


def test_the_venue_s_grid_is_stored_under_its_name(desk: Resources) -> None:
    class Venue:
        def instrument(self, symbol: str) -> Instrument:
            if symbol == "VOD.L":
                raise ConfigError("no such symbol here")
            return Instrument(symbol, Decimal("0.001"), Decimal("0.01"), Decimal(1), Decimal("0.05"), {"currency": "EUR"})

    desk.__dict__["broker"] = Venue()

    failed = step.refresh_from_venue(resources=desk)

    record = desk.instruments.read(["AAA"])[0]
    assert list(failed) == ["VOD.L"]
    assert (record.quantity_step, record.min_quantity, record.min_notional, record.price_tick) == (
        Decimal("0.001"), Decimal("0.01"), Decimal(1), Decimal("0.05"),
    )  # fmt: skip
    assert (record.sources["price_tick"], record.currency) == ("paper", "EUR")


def test_an_order_is_rounded_to_the_venue_s_grid_as_a_person_corrects_it(desk: Resources) -> None:
    grid = Instrument("AAA", Decimal("0.001"), Decimal("0.01"), Decimal(1), Decimal("0.01"), {"name:alpaca": "AAA.X"})
    correct = VenueGrid(desk.instruments, "alpaca", desk.clock)

    assert correct(grid) == grid
    step.correct("AAA", {"quantity_step": "10", "min_notional": "500"}, resources=desk)

    assert correct(grid) == Instrument("AAA", Decimal(10), Decimal("0.01"), Decimal(500), Decimal("0.01"))
    record = desk.instruments.read(["AAA"])[0]
    assert record.names == {"alpaca": "AAA.X"}
    assert (record.sources["quantity_step"], record.sources["min_quantity"]) == ("person", "alpaca")


def test_what_a_provider_says_is_stored_by_the_load(desk: Resources) -> None:
    class Speaker(Feed):
        def fetch(self, symbols, start, end):
            download = super().fetch(symbols, start, end)
            said = {"exchangeName": "NMS", "instrumentType": "ETF", "currency": "USD", "symbol": "AAA"}
            return type(download)(download.bars, download.actions, download.failed, None, {"AAA": fields_of(said, "AAA")})

    desk.__dict__["provider"] = Speaker(walk("AAA", START, END))

    ingest.fetch_symbols(END.isoformat(), ["AAA"], full_history=True, resources=desk)

    record = desk.instruments.read(["AAA"])[0]
    assert (record.asset_class, record.sources["asset_class"], record.sources["calendar"]) == ("fund", "feed", "feed")


def test_bars_of_london_tokyo_and_crypto_load_by_their_own_calendars(desk: Resources) -> None:
    import pandas as pd

    names = ("VOD.L", "7203.T", "DOT-USD", "EURUSD=X", "AAA")
    desk.__dict__["provider"] = Feed(pd.concat([walk(name, START, END) for name in names], ignore_index=True))

    loaded = ingest.fetch_symbols(END.isoformat(), names, full_history=True, resources=desk)

    assert loaded.quarantined == 0
    days = desk.bars.read().groupby("symbol")["session"].agg(set)
    assert pd.Timestamp("2018-07-04") in days["VOD.L"]
    assert pd.Timestamp("2018-07-04") not in days["AAA"]
    assert pd.Timestamp("2018-05-03") not in days["7203.T"]
    assert pd.Timestamp("2018-12-01") in days["DOT-USD"]
