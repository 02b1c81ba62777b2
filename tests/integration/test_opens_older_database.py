"""The database of an older release opens in this one: what it held is read as it was, and the next session trades on it.

The dump says in its first lines how it was made; `tests/standins/dump_desk.py` made it.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import gzip
import re
import subprocess
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import pytest
import sqlalchemy as sa
from alembic.config import Config
from alembic.script import ScriptDirectory

from core.models import OrderState, Side
from pipeline.accounts.valuation import last_recorded_session
from pipeline.bars import VIX
from pipeline.data import build_features as feature_step
from pipeline.data import ingest
from pipeline.execution import daily_trade
from pipeline.execution.entry_blocks import entry_blocks
from pipeline.resources import Resources
from storage.engine import MIGRATIONS, cluster_url
from tests.databases import fresh_databases
from tests.standins.dump_desk import LAST, LOADED, PROGRAMS
from tests.standins.predictions import PredictionStandIn

if TYPE_CHECKING:
    from collections.abc import Iterator

    from core.settings import Settings

pytestmark = pytest.mark.integration
DUMP = Path(__file__).resolve().parents[1] / "data" / "desk_0_1_0.sql.gz"
NOW = dt.datetime(2027, 1, 1, 12, tzinfo=dt.UTC)  # after every row of the dump
DAY, NEXT = dt.date.fromisoformat(LAST), dt.date(2018, 12, 24)
HELD, ORDERED = "20181210-entry-^GSPC-3cdbbe2d64e5a16c", "20181224-entry-^IXIC-1ac60720dc350882"
CASH = 95644.7355767734
SLIPPAGE, COMMISSION = 2e-4, 1e-4
PATIENT = {"band_sessions": 20, "deviations": 1.0, "max_sessions": 12, "stop_pct": 9.0, "target_pct": 9.0}
NERVOUS = PATIENT | {"stop_pct": 1.0, "target_pct": 1.5}


@pytest.fixture(scope="module")
def desk(cluster_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Resources]:
    """The older desk, opened by this release, to read."""
    with fresh_databases(cluster_dir, tmp_path_factory.mktemp("desk"), empty=True) as settings, opened(settings) as found:
        yield found


@pytest.fixture
def trading(cluster_dir: Path, tmp_path: Path) -> Iterator[Resources]:
    """The older desk, opened by this release, to trade on."""
    with fresh_databases(cluster_dir, tmp_path, empty=True) as settings, opened(settings) as found:
        yield found


@contextlib.contextmanager
def opened(settings: Settings) -> Iterator[Resources]:
    """Load the dump and open it, beside a prediction API that accepts every candidate of the next session."""
    assert settings.database.url is not None
    url = sa.make_url(settings.database.url.get_secret_value()).set(drivername="postgresql")
    target = url.render_as_string(hide_password=False)
    cluster_url(settings, settings.database.name)  # makes it
    command = [PROGRAMS / "psql", "-q", "-X", "-v", "ON_ERROR_STOP=1", "-o", "/dev/null", target]
    subprocess.run(command, input=gzip.decompress(DUMP.read_bytes()), check=True)
    with PredictionStandIn(NEXT.isoformat()) as api:
        changes = {"api__url": api.url, "ingestion__history_start": LOADED, "validation__max_age_days": 3650}
        found = Resources(settings.with_changes(**changes), clock=lambda: NOW)
        yield found
        found.engine.dispose()


def test_the_schema_is_brought_to_the_newest_and_no_row_is_lost(desk: Resources) -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    dumped = rows_of(gzip.decompress(DUMP.read_bytes()).decode())
    del dumped["public.alembic_version"]
    with desk.engine.connect() as connection:
        version = connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar_one()
        counted = {
            name: connection.execute(sa.text(f"SELECT count(*) FROM {name}")).scalar_one()  # noqa: S608  # names of the dump
            for name in dumped
        }
    assert version == ScriptDirectory.from_config(config).get_current_head()
    assert len([name for name, count in dumped.items() if count]) > 30
    assert counted == dumped


def rows_of(dump: str) -> dict[str, int]:
    """Return the number of rows of each table in the dump."""
    copied = re.findall(r"^COPY (\S+) \(.*?FROM stdin;\n(.*?)^\\\.$", dump, flags=re.MULTILINE | re.DOTALL)
    return {name: rows.count("\n") for name, rows in copied}


def test_the_book_is_read_as_it_was(desk: Resources) -> None:
    (held,) = desk.ledger.positions("main")
    ((order, state),) = desk.ledger.open_orders("main")
    trades = desk.ledger.trades("main")
    equity = desk.ledger.equity("main")

    assert (held.symbol, held.quantity, held.entry_session) == ("^GSPC", Decimal("1.054953"), dt.date(2018, 12, 10))
    assert (held.entry_order_id, held.max_sessions) == (HELD, 12)
    assert (held.stop_price, held.target_price) == (Decimal("2394.08269737"), Decimal("2867.6375166300004"))
    assert (order.client_order_id, state, order.session) == (ORDERED, OrderState.ACCEPTED, NEXT)
    assert (order.symbol, order.side, order.quantity) == ("^IXIC", Side.BUY, Decimal(ordered(desk)))
    assert float(desk.broker.cash_usd()) == pytest.approx(CASH, abs=1e-9)
    assert trades["reason"].tolist() == ["stop"] * 6
    assert 100_000 + trades["pnl_usd"].sum() - 1.054953 * 2631.3862790214 * 1.0001 == pytest.approx(CASH)
    assert len(desk.ledger.fills("main")) == 13
    assert last_recorded_session(desk.ledger, "main") == DAY
    assert equity["equity_usd"].iloc[-1] == 98194.1562190629
    assert (len(equity), equity["session"].iloc[0]) == (14, pd.Timestamp("2018-12-03"))


def ordered(desk: Resources) -> str:
    """The quantity of the open order as the database has it."""
    query = sa.text("SELECT CAST(quantity AS text) FROM trading.order_intents WHERE client_order_id = :name")
    with desk.engine.connect() as connection:
        return str(connection.execute(query, {"name": ORDERED}).scalar_one())


def test_bars_signals_and_predictions_are_read_as_they_were(desk: Resources) -> None:
    bars = desk.bars.read()
    signals, predictions = desk.ledger.signals(DAY), desk.ledger.predictions(DAY)

    assert sorted(bars["symbol"].unique()) == ["^GSPC", "^IXIC", VIX]
    assert set(desk.bars.last_sessions().values()) == {DAY}
    last = bars[(bars["symbol"] == "^GSPC") & (bars["session"] == pd.Timestamp(DAY))].iloc[0]
    assert (last["open"], last["close"]) == (2465.379883, 2416.620117)
    assert last["known_at"] == pd.Timestamp("2018-12-21 21:15", tz="UTC")
    assert list(zip(signals["symbol"], signals["entry"], strict=True)) == [("^GSPC", 1), ("^IXIC", 1)]
    assert predictions["signal"].tolist() == ["enter", "enter"]


def test_parameters_are_in_force_as_they_were(desk: Resources) -> None:
    current = desk.parameters.current
    general, own, disabled = current("bollinger"), current("bollinger", "^IXIC"), current("zscore")

    assert general is not None
    assert own is not None
    assert disabled is not None
    assert (general.params, general.version, general.author) == (PATIENT, 1, "ann")
    assert (own.params, own.version, own.author) == (NERVOUS, 1, "ben")
    assert (disabled.enabled, disabled.reason) == (False, "not traded")


def test_research_and_decisions_about_models_are_read_as_they_were(desk: Resources) -> None:
    run, portfolio = desk.runs.latest("unfiltered"), desk.portfolios.latest()
    assert run is not None
    assert portfolio is not None
    trades, equity = desk.runs.frames(run.run_id)
    validation, halt = desk.portfolios.latest_validation(portfolio.id), desk.halts.current("main")
    (experiment,) = desk.experiments.of("entry-filter", "1")
    (promotion,) = desk.promotions.history("entry-filter")

    assert (len(trades), len(equity), run.metrics["trade_count"]) == (9, 63, 9)
    assert [member["strategy"] for member in portfolio.members] == ["bollinger"]
    assert validation is not None
    assert validation.status == "PASS"
    assert entry_blocks(DAY, resources=desk) == [], "the portfolio of before is no deployment, and blocks nothing"
    assert halt is not None
    assert (halt.halted, halt.reason) == (False, "the drill is over")
    assert (experiment.challengers, experiment.decided) == (("2",), True)
    assert (promotion.from_version, promotion.to_version, promotion.author) == ("1", "2", "model_ab_judge")


def test_the_next_session_trades_on_it(trading: Resources) -> None:
    """The order fills at the open; it and the old position are stopped out that day, and new orders wait for the next."""
    day, before, (held,) = NEXT.isoformat(), trading.ledger.trades("main"), trading.ledger.positions("main")
    ingest.fetch_symbols(day, [VIX], resources=trading)
    ingest.fetch_symbols(day, trading.universe(), resources=trading)
    assert feature_step.write_features(day, resources=trading).written == 2, "no feature of an older session has changed"
    for step in (daily_trade.settle, daily_trade.candidates, daily_trade.predict, daily_trade.place, daily_trade.record):
        step(day, resources=trading)

    bar = trading.bars.read(["^IXIC"], start=NEXT, end=NEXT).iloc[0]
    paid, stopped = bar["open"] * (1 + SLIPPAGE), bar["open"] * 0.99 * (1 - SLIPPAGE)
    size, left = float(ordered(trading)), float(held.stop_price or 0) * (1 - SLIPPAGE)
    flow = float(held.quantity) * left * (1 - COMMISSION) + size * (stopped * (1 - COMMISSION) - paid * (1 + COMMISSION))
    made = trading.ledger.trades("main")
    new = made[made["exit_session"] == pd.Timestamp(NEXT)].set_index("symbol")
    pd.testing.assert_frame_equal(made[made["exit_session"] < pd.Timestamp(NEXT)].reset_index(drop=True), before)
    assert sorted(zip(new.index, new["reason"], strict=True)) == [("^GSPC", "stop"), ("^IXIC", "stop")]
    assert (new["entry_price"]["^GSPC"], new["exit_price"]["^GSPC"]) == pytest.approx((float(held.entry_price), left))
    assert (new["entry_price"]["^IXIC"], new["exit_price"]["^IXIC"]) == pytest.approx((paid, stopped))
    assert float(trading.broker.cash_usd()) == pytest.approx(CASH + flow)
    assert trading.ledger.equity("main")["equity_usd"].iloc[-1] == pytest.approx(CASH + flow)
    assert trading.ledger.positions("main") == []
    assert last_recorded_session(trading.ledger, "main") == NEXT
    waiting = [(order.symbol, order.session, state) for order, state in trading.ledger.open_orders("main")]
    assert waiting == [(symbol, dt.date(2018, 12, 26), OrderState.ACCEPTED) for symbol in ("^GSPC", "^IXIC")]
