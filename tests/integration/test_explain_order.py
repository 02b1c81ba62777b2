"""Every order of a real desk can be explained to its bars, and recomputed from what was known then to the last bit."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient
from typer.testing import CliRunner

from core.errors import DataError
from core.feature_hash import feature_hash
from core.frames import FEATURES
from core.models import Origin
from core.sessions import close_of, next_session, sessions_between
from desk.cli import audit
from ml.entry_filter.scorer import Scorer
from pipeline.audit import explain_order
from pipeline.data import build_features, ingest
from pipeline.execution import daily_trade
from pipeline.resources import Resources
from pipeline.training import train_entry_filter
from serving.app import create_app
from serving.routers.orders import ONE_REPLAY, OrderPage
from storage.features.tables import market_features
from storage.market.tables import raw_prices, validation_runs
from storage.trading.served import Served, encode
from storage.trading.tables import order_intents, predictions, signals
from trading.strategies.vix_filter import rule_name

if TYPE_CHECKING:
    from core.settings import Settings
    from ml.entry_filter.predict import EntryFilter

pytestmark = pytest.mark.integration
FIRST, LAST = dt.date(2018, 10, 1), dt.date(2018, 11, 2)
END = "2018-12-31"
NOW = dt.datetime(2019, 1, 1, 12, tzinfo=dt.UTC)


@pytest.fixture(scope="module")
def desk(module_settings: Settings) -> Resources:
    """Bars, features and a champion of two strategies; then five weeks of scheduled steps, with the champion's own answers."""
    update = {"ingestion__history_start": "2012-01-03", "strategies": ("bollinger", "zscore"), "risk__max_positions": 4}
    desk = Resources(module_settings.with_changes(**update), clock=lambda: NOW)
    ingest.fetch_vix(END, full_history=True, resources=desk)
    ingest.fetch_symbols(END, desk.universe(), full_history=True, resources=desk)
    build_features.write_features(END, resources=desk)
    train_entry_filter.train_entry_filter(END, resources=desk)
    champion = desk.registry.champion()
    payoffs = {name: replace(payoff, threshold=0.0) for name, payoff in champion.payoffs.items()}
    open_to_all = replace(champion, payoffs=payoffs)
    load = desk.registry.load
    desk.registry.load = lambda version: replace(load(version), payoffs=open_to_all.payoffs)  # type: ignore[method-assign]
    for stamp in sessions_between(FIRST, LAST):
        run_day(desk, stamp.date(), open_to_all)
    return desk


def run_day(desk: Resources, day: dt.date, model: EntryFilter) -> None:
    session = day.isoformat()
    daily_trade.settle(session, resources=desk)
    daily_trade.candidates(session, resources=desk)
    signals = desk.ledger.signals(day)
    entries = signals[signals["entry"] != 0]
    if len(entries):
        desk.ledger.save_predictions(day, answers(desk, day, entries, model))
    daily_trade.place(session, resources=desk)
    daily_trade.record(session, resources=desk)


def answers(desk: Resources, day: dt.date, entries: pd.DataFrame, model: EntryFilter) -> list[dict[str, object]]:
    """What the API answers and keeps."""
    close = pd.Timestamp(close_of(day))
    rows = desk.features.training_frame(pd.DataFrame({"symbol": entries["symbol"].to_list(), "event_timestamp": close}))
    scorer = Scorer(model)
    served = desk.served
    served.name_features()
    found = []
    for (_, row), strategy in zip(rows.iterrows(), entries["strategy"], strict=True):
        values = [float(row[name]) for name in FEATURES]
        said = scorer.score(values, rule_name(strategy))
        answer = {
            "strategy": strategy,
            "symbol": str(row["symbol"]),
            "session": day,
            "model_name": model.name,
            "model_version": model.version,
            "probability": said.probability,
            "predicted_return": said.predicted_return,
            "signal": "enter" if said.accept else "skip",
            "feature_timestamp": close.to_pydatetime(),
        }
        kept = {"served_at": NOW, "for_session": next_session(day), "arm": "champion", "source": "online", "latency_us": 40}
        kept |= {"kind": "entry", "low": None, "high": None, "confidence": 0.0}
        seen = answer | {"strategy": rule_name(str(answer["strategy"]))}
        given = Served(**seen, **kept, feature_hash=feature_hash(values), features=values)  # type: ignore[arg-type]
        served.append([encode(given)])
        found.append(answer)
    return found


def ids(desk: Resources) -> list[str]:
    return [order.client_order_id for order, _ in desk.ledger.fills("main")]


def test_every_order_is_explained_and_recomputed_to_the_last_bit(desk: Resources) -> None:
    pages = [explain_order.explain(each, replay=True, resources=desk).as_dict() for each in ids(desk)]

    assert len(pages) >= 6
    assert {page["order"]["leg"] for page in pages} == {"entry", "exit"}
    assert {page["order"]["strategy"] for page in pages} == {"bollinger_vix", "zscore_vix"}
    for page in pages:
        assert page["recomputed"]["same"], page["recomputed"]
        assert page["recomputed"]["decision"]["same"] is True
        assert page["recomputed"]["features"]["same"] is page["recomputed"]["score"]["same"] is True
        json.dumps(page, allow_nan=False)


def test_an_entry_names_all_that_is_behind_it(desk: Resources) -> None:
    entry = next(order for order, fill in desk.ledger.fills("main") if fill.reason == "entry")

    page = explain_order.explain(entry.client_order_id, resources=desk).as_dict()

    day = entry.decision_session.isoformat()
    assert (page["order"]["symbol"], page["order"]["state"], page["signal"]["session"]) == (entry.symbol, "filled", day)
    assert [event["state"] for event in page["events"]] == ["intent", "submitted", "accepted", "filled"]
    assert page["prediction"]["model_version"] == page["model"]["version"] == "1"
    assert len(page["model"]["run_id"]) == 32
    assert page["served"]["feature_hash"] == feature_hash(
        [np.nan if page["features"][n] is None else page["features"][n] for n in FEATURES]
    )
    assert (page["bars"]["revision"], page["bars"]["revisions_since"], page["bars"]["source"]) == (1, 0, "sample")
    assert page["bars"]["close"] == page["signal"]["close"]
    assert page["validation"]["passed"] is True
    assert page["not_linked"] == [explain_order.NO_DAG]
    assert len(page["code"]["commit"].removesuffix("-dirty")) == 40


def test_an_exit_names_its_entry_and_the_entrys_prediction(desk: Resources) -> None:
    leaving = next(order for order, fill in desk.ledger.fills("main") if fill.reason != "entry")

    page = explain_order.explain(leaving.client_order_id, resources=desk).as_dict()

    assert page["entry_order"] in ids(desk)
    assert page["prediction"]["symbol"] == leaving.symbol


def test_what_is_not_linked_is_said(desk: Resources, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CTX_DAG_ID", "trading_execution")
    monkeypatch.setenv("AIRFLOW_CTX_DAG_RUN_ID", "manual__2018-12-03")
    lone = replace(
        desk.ledger.fills("main")[0][0],
        client_order_id="20181203-entry-NONE-0",
        symbol="NONE",
        decision_session=dt.date(2018, 12, 3),
        origin=Origin.OTHER,
    )
    desk.ledger.record_intents([lone])

    page = explain_order.explain(lone.client_order_id, resources=desk).as_dict()

    assert page["code"]["dag_run"] == "trading_execution/manual__2018-12-03"
    assert page["signal"] is page["prediction"] is page["model"] is page["features"] is page["bars"] is None
    assert len(page["not_linked"]) == 2
    assert explain_order.NO_SIGNAL["other"] in page["not_linked"][0]
    assert explain_order.NO_DAG not in page["not_linked"]


def test_every_order_is_linked_by_foreign_keys_to_what_it_was_decided_on(desk: Resources) -> None:
    links = """
        SELECT intents.origin, intents.leg, count(*) AS orders, count(runs.id) AS validated, count(bars.ts) AS bars,
            count(said.symbol) AS signals, count(answers.symbol) AS predictions, count(known.symbol) AS features,
            count(entries.client_order_id) AS entries
        FROM trading.order_intents AS intents
        LEFT JOIN trading.evidence AS proof ON proof.id = intents.evidence_id
        LEFT JOIN trading.signals AS said
            ON (said.strategy, said.symbol, said.session) = (proof.strategy, proof.symbol, proof.session)
        LEFT JOIN trading.predictions AS answers
            ON (answers.strategy, answers.symbol, answers.session, answers.model_version)
             = (proof.strategy, proof.symbol, proof.session, proof.model_version)
        LEFT JOIN market.raw_prices AS bars
            ON (bars.symbol, bars.timeframe, bars.ts, bars.ingested_at)
             = (proof.symbol, proof.timeframe, proof.bar_ts, proof.bar_ingested_at)
        LEFT JOIN features.market_features AS known
            ON (known.symbol, known.event_timestamp, known.created_timestamp)
             = (proof.symbol, proof.feature_event, proof.feature_created)
        LEFT JOIN market.validation_runs AS runs ON runs.id = proof.validation_run_id
        LEFT JOIN trading.order_intents AS entries ON entries.client_order_id = intents.entry_order_id
        WHERE intents.symbol <> 'NONE' GROUP BY 1, 2
    """
    with desk.engine.connect() as connection:
        rows = connection.execute(sa.text(links)).mappings().all()

    found = {(row["origin"], row["leg"]): dict(row) for row in rows}
    assert set(found) == {("signal", "entry"), ("signal", "exit"), ("venue", "exit")}, "nothing of no origin"
    entries, exits, children = found["signal", "entry"], found["signal", "exit"], found["venue", "exit"]
    for name in ("validated", "bars", "signals", "predictions", "features"):
        assert entries[name] == entries["orders"] > 0, name
    for name in ("validated", "bars", "signals", "entries"):
        assert exits[name] == exits["orders"] > 0, name
    assert children["entries"] == children["orders"]


@pytest.mark.parametrize("table", [signals, predictions, raw_prices, validation_runs, market_features], ids=str)
def test_what_an_order_was_decided_on_cannot_be_removed(desk: Resources, table: sa.Table) -> None:
    with pytest.raises(sa.exc.IntegrityError, match="foreign key"), desk.engine.begin() as connection:
        connection.execute(sa.delete(table))


@pytest.mark.parametrize(
    ("change", "rule"), [({"evidence_id": None}, "ck_order_intents_evidence"), ({"leg": "exit"}, "ck_order_intents_entry")]
)
def test_an_order_without_its_links_cannot_be_stored(desk: Resources, change: dict[str, object], rule: str) -> None:
    entry = order_intents.c.client_order_id == ids(desk)[0]
    with pytest.raises(sa.exc.IntegrityError, match=rule), desk.engine.begin() as connection:
        connection.execute(sa.update(order_intents).where(entry).values(change))


def test_a_beginning_that_several_share_and_an_unknown_one_are_refused(desk: Resources) -> None:
    with pytest.raises(DataError, match="expected one order id with this prefix"):
        explain_order.explain("2018", resources=desk).as_dict()
    with pytest.raises(DataError, match="found none"):
        explain_order.explain("nothing", resources=desk).as_dict()

    whole = ids(desk)[0]
    assert explain_order.explain(whole[:-2], resources=desk).as_dict()["order"]["client_order_id"] == whole


def test_a_score_that_was_changed_is_found_by_the_recomputation(desk: Resources, monkeypatch: pytest.MonkeyPatch) -> None:
    load = desk.registry.load
    monkeypatch.setattr(desk.registry, "load", lambda version: replace(load(version), score=lambda X: np.full(len(X), 0.123)))

    page = explain_order.explain(ids(desk)[0], replay=True, resources=desk).as_dict()

    assert page["recomputed"]["same"] is False
    assert page["recomputed"]["score"]["recomputed"] == 0.123
    assert page["recomputed"]["decision"]["same"] is True


def test_the_verb_prints_a_page_or_json(desk: Resources, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(explain_order, "live", lambda: desk)
    order = ids(desk)[0]

    page = CliRunner().invoke(audit.verbs, ["explain-order", order, "--replay"])
    plain = CliRunner().invoke(audit.verbs, ["explain-order", order, "--json"])

    assert page.exit_code == 0, page.output
    assert "the same to the last bit" in page.output
    assert json.loads(plain.output)["order"]["client_order_id"] == order


def test_the_api_tells_the_page_as_typed_json_and_recomputes_it_when_asked(desk: Resources) -> None:
    entry = next(order for order, fill in desk.ledger.fills("main") if fill.reason == "entry")
    with TestClient(create_app(desk), client=("127.0.0.1", 50_000)) as api:
        found = api.get(f"/orders/{entry.client_order_id}")
        again = api.get(f"/orders/{entry.client_order_id}", params={"replay": True})
        nothing = api.get("/orders/nothing")
        ONE_REPLAY.acquire()
        busy = api.get(f"/orders/{entry.client_order_id}", params={"replay": True})
        ONE_REPLAY.release()

    expected = explain_order.explain(entry.client_order_id, resources=desk).as_dict()
    assert found.status_code == 200
    page = found.json()
    assert page.pop("recomputed") is None
    assert OrderPage.model_validate(page) == OrderPage.model_validate(expected)
    assert page["order"] == {
        **expected["order"],
        "created_at": page["order"]["created_at"],
    }, "every column, exact numbers as text"
    assert [event["state"] for event in page["events"]] == ["intent", "submitted", "accepted", "filled"]
    assert again.json()["recomputed"]["same"] is True
    assert (nothing.status_code, nothing.json()["type"]) == (404, "urn:desk:NoSuchOrder")
    assert "GET /orders and `desk orders` list them" in nothing.json()["remedy"]
    assert (busy.status_code, busy.json()["type"]) == (503, "urn:desk:ReplayBusy")


def test_a_bar_revised_after_the_order_changes_the_page_and_no_recomputation(desk: Resources) -> None:
    entry = next(order for order, fill in desk.ledger.fills("main") if fill.reason == "entry")
    day = entry.decision_session
    bar = desk.bars.read([entry.symbol], start=day, end=day).drop(columns="known_at")
    later = dt.datetime.now(dt.UTC) + dt.timedelta(hours=1)
    desk.bars.write(bar.assign(close=bar["close"] * 1.05, high=bar["high"] * 1.06), source="sample", ingested_at=later)

    page = explain_order.explain(entry.client_order_id, replay=True, resources=desk).as_dict()

    assert (page["bars"]["revision"], page["bars"]["revisions_since"]) == (1, 1)
    assert page["recomputed"]["same"], page["recomputed"]
