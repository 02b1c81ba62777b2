"""The whole loop: sweep, rank, allocate, validate, deploy, trade as live, and compare with the backtest of the same sleeves.

The same portfolio is deployed by command, by REST and by the steps that Airflow's tasks call, side by side in one account. One
market is synthetic and swings; the other is the real data beside the checkout.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest
from fastapi.testclient import TestClient
from typer.testing import CliRunner

from core.sessions import close_of, sessions_between
from core.settings import get_settings
from desk.cli import app
from ingestion.providers.files import FilesProvider
from pipeline.audit import parity
from pipeline.bars import VIX
from pipeline.deployments.books import desk_of
from pipeline.deployments.deploy import DeployRequest, deploy, plan_deployment
from pipeline.execution import daily_trade
from pipeline.execution.deployment_status import blocked_entries
from pipeline.execution.entry_blocks import entry_blocks
from pipeline.research import chain
from pipeline.resources import live
from serving.app import create_app
from tests.databases import fresh_databases
from tests.standins.api_desk import CONTROL_KEY, NextDayRegistry, Registry
from tests.standins.deployed_market import Mailbox, evening
from tests.standins.evidence import vouch
from tests.standins.feed import swinging, walk

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from core.settings import Settings
    from pipeline.resources import Resources

pytestmark = pytest.mark.integration
CORPUS = Path(__file__).resolve().parents[3] / "shared" / "data"
SYMBOLS = ("AAA", "BBB", "CCC", "DDD")
START, END = dt.date(2013, 1, 2), dt.date(2018, 12, 31)
RESEARCH = "2018-06-29"  # research sees nothing later
FIRST = dt.date(2018, 7, 2)
AUTUMN = "2018-09-28"  # before the fall of 2018, in which reversion has something to do
RULES = "bollinger,rsi,zscore"
PATIENT = {  # limits that no renewal breaks: what is shown here is the loop, and test_validation_renewal.py what a FAIL does
    "VALIDATION__MAX_DRAWDOWN_PCT": "99",
    "VALIDATION__MAX_LOSS_AT_RISK_PCT": "99",
    "VALIDATION__MAX_POSITION_PCT": "99",
    "VALIDATION__MAX_CORRELATION": "1",
    "VALIDATION__MAX_TRADES_A_DAY": "99",
}
FIXED = {"API__URL": "http://127.0.0.1:9", "API__CONTROL_KEYS": CONTROL_KEY, "COLUMNS": "250"}
WHY = {"reason": "the loop", "author": "ann"}
CHAIN = {"min_trades": 10}


@contextlib.contextmanager
def process(settings: Settings, symbols: Sequence[str], session: str = RESEARCH, **environment: str) -> Iterator[Resources]:
    """The desk that every command, route and step of this process uses, in the evening of a session; mails are kept."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(settings.data_dir)
        for name in ("data_dir", "database__name", "database__feast_name", "database__mlflow_name", "database__airflow_name"):
            patch.setenv(name.upper(), str(settings.value_of(name)))
        patch.setenv("DATABASE__URL", settings.database.url.get_secret_value())  # type: ignore[union-attr]
        fixed = {
            "UNIVERSE": ",".join(symbols),
            "API__URL": "http://127.0.0.1:9",
            "API__CONTROL_KEYS": CONTROL_KEY,
            "COLUMNS": "250",
        }
        for name, value in (fixed | PATIENT | environment).items():
            patch.setenv(name, value)
        get_settings.cache_clear()
        live.cache_clear()
        desk = live()
        turn_to(desk, dt.date.fromisoformat(session))
        desk.__dict__.update(alerts=Mailbox(), registry=Registry(), next_day_registry=NextDayRegistry())
        yield desk
        desk.engine.dispose()
    get_settings.cache_clear()
    live.cache_clear()


def turn_to(desk: Resources, day: dt.date) -> None:
    """Set the clock to the evening of a session."""
    desk.clock = lambda: dt.datetime.combine(day, dt.time(23), dt.UTC)


@dataclass
class Market:
    """Bars, of which the desk gets those of a session in its evening."""

    desk: Resources
    bars: pd.DataFrame
    source: str
    research: str = RESEARCH  # the last session that it may see

    def load_history(self) -> None:
        """Store everything that the research may see."""
        past = self.bars[self.bars["session"] <= pd.Timestamp(self.research)]
        self.desk.bars.write(past, source=self.source, ingested_at=self.desk.clock(), backfilled=True)

    def evening(self, day: dt.date) -> None:
        """Turn the clock to the evening of a session and store its bars."""
        turn_to(self.desk, day)
        rows = self.bars[self.bars["session"] == pd.Timestamp(day)].reset_index(drop=True)
        self.desk.bars.write(rows, source=self.source, ingested_at=self.desk.clock())
        vouch(self.desk.engine, rows)


def swinging_market(desk: Resources) -> Market:
    """Four symbols that swing around 100."""
    bars = [*(swinging(name, START, END, seed=seed) for seed, name in enumerate(SYMBOLS)), walk(VIX, START, END)]
    return Market(desk, pd.concat(bars, ignore_index=True).sort_values(["symbol", "session"], ignore_index=True), "walk")


def call(*arguments: str) -> str:
    result = CliRunner().invoke(app.cli, list(arguments), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def number_in(text: str) -> int:
    found = re.search(r"--portfolio (\d+)", text)
    assert found, text
    return int(found.group(1))


def by_command(session: str) -> int:
    """Every step as somebody types it; returns the portfolio."""
    call("sweep", "--session", session, "--strategies", RULES, "--jobs", "1")
    assert "@" not in call("rank", "--session", session, "--min-trades", "10").splitlines()[0]
    number = number_in(call("allocate", "--session", session, "--min-trades", "10", "--store"))
    call("validate-risk", "--session", session, "--portfolio", str(number))
    planned = call("deploy", str(number), "--name", "by-cli", "--reason", "the loop", "--author", "ann", "--dry-run")
    assert "Nothing is changed." in planned
    assert "by-cli" not in call("deployments")
    call("deploy", str(number), "--name", "by-cli", "--reason", "the loop", "--author", "ann")
    assert "by-cli" in call("deployments")
    assert "by-cli (paper, active): entries are free" in CliRunner().invoke(app.cli, ["status"]).output
    return number


def by_rest(desk: Resources, session: str) -> int:
    """A draft of somebody's research is kept, validated and deployed over the API."""
    draft = number_of_chain(session, store=False)
    with TestClient(create_app(desk), client=("127.0.0.1", 50_000)) as api:

        def post(path: str, **body: object) -> dict[str, Any]:
            answer = api.post(path, json=body, headers={"X-API-Key": CONTROL_KEY})
            assert answer.status_code == 200, answer.text
            found: dict[str, Any] = answer.json()
            return found

        assert not post(f"/portfolios/{draft}/keep")["draft"]
        assert post(f"/portfolios/{draft}/validate", session=session)["status"] in {"PASS", "WARN"}
        assert not post("/deployments", portfolio=draft, name="by-rest", dry_run=True, **WHY)["deployed"]
        assert post("/deployments", portfolio=draft, name="by-rest", **WHY)["deployed"]
        assert api.get("/readyz").json()["entries_blocked"] == {}
    return draft


def by_tasks(session: str) -> int:
    """The calls of the tasks of `strategy_research` and `deploy_portfolio`; what passes between them is JSON."""
    number = number_of_chain(session, store=True)
    params = {
        "portfolio": number, "name": "by-dag", "stage": "paper", "capital": None, "profile": None, "filter": False, **WHY,
    }  # fmt: skip
    planned = json.loads(json.dumps(plan_deployment(DeployRequest.of(params)).as_dict()))
    made = json.loads(json.dumps(deploy(DeployRequest.of(params)).as_dict()))
    assert made == planned
    assert made["notes"][0].startswith(f"Validation of {session}: ")
    return number


def number_of_chain(session: str, *, store: bool) -> int:
    """Run the steps of the research chain up to its validation, on the sessions up to its split; return the portfolio."""
    plan = chain.ChainPlan.of(chain.make_plan(session, RULES.split(","), holdout_sessions=1).as_dict())
    chain.sweep(plan, jobs=1)
    chain.rank(plan)
    chain.correlate(plan, **CHAIN)
    made = chain.allocate(plan, method="risk_parity_profit_weighted", store=store, **CHAIN)
    chain.validate(plan)
    return made.portfolio


def loop(desk: Resources, market: Market, counts: dict[str, int]) -> None:
    """Deploy by each way, trade each deployment for its number of sessions, and find the trades of its backtest."""
    market.load_history()
    numbers = {"by-cli": by_command(market.research), "by-rest": by_rest(desk, market.research)}
    numbers["by-dag"] = by_tasks(market.research)
    made = {name: desk.deployments.get(name) for name in numbers}
    assert {name: each.portfolio_id for name, each in made.items() if each is not None} == numbers
    last = dt.date.fromisoformat(market.research)
    sessions = [stamp.date() for stamp in sessions_between(last + dt.timedelta(days=1), last + dt.timedelta(days=120))]
    for count, day in enumerate(sessions[: max(counts.values())]):
        market.evening(day)
        for name, wanted in counts.items():
            if count < wanted:
                evening(desk, name, day)
    for name, count in counts.items():
        own = desk_of(name, resources=desk)
        found = parity.compare_ledger(None, None, resources=own)
        assert found.sessions == count
        assert found.trades >= count / 20
        assert found.differences.to_dict("records") == []
        assert found.equity_gap_usd < 1e-6
        assert entry_blocks(sessions[count - 1], resources=own) == []
    assert desk.ledger.fills(desk.desk_portfolio) == [], "no other book has traded"


@pytest.mark.parametrize(("most", "fewest"), [(20, 20), pytest.param(60, 20, marks=pytest.mark.deep)])
def test_research_is_deployed_three_ways_and_each_trades_its_backtest(
    database_settings: Settings, most: int, fewest: int
) -> None:
    with process(database_settings, SYMBOLS) as desk:
        loop(desk, swinging_market(desk), {"by-cli": most, "by-rest": fewest, "by-dag": fewest})


@pytest.mark.corpus
@pytest.mark.deep
@pytest.mark.skipif(not CORPUS.is_dir(), reason=f"needs the real data at {CORPUS}")
def test_the_loop_on_real_bars(database_settings: Settings) -> None:
    source = FilesProvider(CORPUS)
    symbols = tuple(source.default_universe)
    environment = {"PROVIDER": "files", "INGESTION__FILES_DIR": str(CORPUS)}
    with process(database_settings, symbols, AUTUMN, **environment) as desk:
        bars = source.fetch([*symbols, VIX], dt.date(2010, 1, 1), dt.date(2019, 3, 29)).bars
        loop(desk, Market(desk, bars, "files", AUTUMN), {"by-cli": 60, "by-rest": 60, "by-dag": 60})


def traded_evenings(desk: Resources, market: Market) -> list[str]:
    """Two weeks of the default deployment, whose filter accepts everything, and of a deployment; returns their orders."""
    for stamp in sessions_between(FIRST, FIRST + dt.timedelta(days=14)):
        day = stamp.date()
        market.evening(day)
        evening(desk, "mine", day)
        for step in (daily_trade.settle, daily_trade.candidates, accept_all, daily_trade.place, daily_trade.record):
            step(day.isoformat(), resources=desk_of("main", resources=desk))
    with desk.engine.connect() as connection:
        rows = connection.exec_driver_sql(
            "SELECT portfolio, client_order_id, strategy, symbol, quantity FROM trading.order_intents ORDER BY 1, 2"
        )
        return [str(tuple(row)) for row in rows]


def accept_all(session: str, *, resources: Resources) -> None:
    day = dt.date.fromisoformat(session)
    signals = resources.ledger.signals(day)
    wanted = signals[(signals["entry"] != 0) & ~signals["strategy"].str.contains("/")]
    resources.ledger.save_predictions(
        day,
        [
            {
                "strategy": row.strategy, "symbol": row.symbol, "model_version": "1", "model_name": "all", "signal": "enter",
                "probability": 0.9, "predicted_return": 0.01, "feature_timestamp": close_of(day),
            }
            for row in wanted.itertuples()
        ],
    )  # fmt: skip


def look(session: str) -> None:
    """Everything that somebody may run to see something, with its defaults: nothing here is told to store."""
    call("sweep", "--session", session, "--strategies", RULES, "--jobs", "1")
    assert "Nothing is stored." in call("allocate", "--session", session, "--min-trades", "10")
    chosen = ["--session", session, "--min-trades", "10", "--jobs", "1", "--holdout-sessions", "250"]
    assert "Report: " in CliRunner().invoke(app.cli, ["research", *chosen]).output, "whatever its validation says"
    number_of_chain(session, store=False)
    draft = live().portfolios.latest()
    assert draft is not None
    assert draft.draft
    live().portfolios.save_validation(portfolio_id=draft.id, session=FIRST, status="FAIL", report={})


def test_merely_looking_at_research_changes_nothing_in_what_trades(cluster_dir: Path, tmp_path: Path) -> None:
    orders, versions = {}, {}
    for looked in (False, True):
        folder = tmp_path / str(looked)
        folder.mkdir()
        with (
            fresh_databases(cluster_dir, folder) as settings,
            process(settings, SYMBOLS, STRATEGIES="bollinger,rsi") as desk,
        ):
            market = swinging_market(desk)
            market.load_history()
            members = [
                {"strategy": "bollinger", "symbol": name, "params": {"deviations": 0.8}, "vix_gate": False, "usd": 250.0}
                for name in SYMBOLS
            ]
            mine = desk.portfolios.save(
                session=dt.date(2018, 6, 28), method="equal", members=members, figures={"capital_usd": 1000.0}
            )
            desk.portfolios.save_validation(portfolio_id=mine, session=dt.date(2018, 6, 28), status="PASS", report={})
            deploy(DeployRequest(mine, "mine", "validated", "ann"))
            if looked:
                look(RESEARCH)
                assert blocked_entries() == {}
            orders[looked] = traded_evenings(desk, market)
            versions[looked] = [(each.name, each.version, each.state) for each in desk.deployments.all()]
            assert blocked_entries() == {}

    assert orders[True] == orders[False]
    assert {row.split("'")[1] for row in orders[True]} == {"main", "mine"}, "both trade"
    assert versions[True] == versions[False]
