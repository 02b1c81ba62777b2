"""Pages of research over the API: runs, curves, trades, comparisons, heat maps, rankings; empty, unknown and too much."""

from __future__ import annotations

import csv
import datetime as dt
import io
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
import sqlalchemy as sa

from core.frames import TRADES
from storage.research.shortlists import Shortlists
from tests.standins.api_desk import client_of

if TYPE_CHECKING:
    from fastapi.testclient import TestClient

    from tests.standins.api_desk import Desk

pytestmark = pytest.mark.integration
FIRST = "2018-01-02"
HTML = "<script>alert('x')</script>"
METRICS: dict[str, Any] = {"trade_count": 2, "total_return": 0.1, "sharpe": 1.5, "max_drawdown": -0.2, "win_rate": 0.5}
METRICS |= {"profit_per_trade": 0.01, "cost_usd": 12.5, "profit_factor": None, "refused_drawdown": 3}


@pytest.fixture(autouse=True)
def fresh(engine: sa.Engine) -> None:
    """No run, trial or shortlist."""
    with engine.begin() as connection:
        connection.execute(sa.text("SET LOCAL session_replication_role = replica"))  # evidence refuses to be removed
        connection.execute(sa.text("TRUNCATE research.backtest_runs, research.trials, research.shortlists CASCADE"))


def trades(many: int, first: str = FIRST) -> pd.DataFrame:
    """Trades of one session each, one a day."""
    days = pd.date_range(first, periods=many)
    values: dict[str, Any] = {
        "symbol": [f"S{number % 7}" for number in range(many)],
        "strategy": HTML,
        "side": 1,
        "decision_session": days - pd.Timedelta(days=1),
        "entry_session": days,
        "exit_session": days,
        "quantity": 1.5,
        "holding_sessions": 1,
        "reason": "time",
        "gross_return": 0.02,
        "net_return": 0.01,
    }
    return TRADES.coerce(pd.DataFrame(values | dict.fromkeys(("entry_price", "exit_price", "pnl_usd", "cost_usd"), 10.0)))


def stored(desk: Desk, *, sessions: int = 10, first: str = FIRST, many: int = 2, kind: str = "unfiltered", **meta: Any) -> str:
    value = 1000.0 + np.arange(sessions)
    days = pd.date_range(first, periods=sessions)
    curve = pd.DataFrame({"session": days, "equity_usd": value, "drawdown": np.where(np.arange(sessions) == 1, -0.5, 0.0)})
    spans = {"first_session": first, "last_session": str(days[-1].date()) if sessions else first}
    about = {"strategy": "rsi", "symbols": ["AAPL", HTML], **spans, "params": {"stop_pct": None}, **meta}
    made = trades(many) if many else TRADES.empty()
    return desk.runs.save(kind=kind, meta=about, metrics=METRICS, trades=made, equity=curve)


def read(api: TestClient, path: str, **query: Any) -> dict[str, Any]:
    answer = api.get(f"/research/{path}", params=query)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def test_runs_come_newest_first_with_their_main_figures(api: TestClient, desk: Desk) -> None:
    ids = [stored(desk, kind=kind) for kind in ("unfiltered", "filtered", "unfiltered")]
    ids.append(stored(desk, strategy="gap", dataset="study@abc", evidence={"deflated_sharpe": 0.9}))
    ids.sort(reverse=True)
    first = read(api, "runs", limit=3)
    second = read(api, "runs", after=first["next"])
    rows = [*first["rows"], *second["rows"]]

    assert [row["run_id"] for row in rows] == ids
    assert second["next"] is None
    by_strategy = {row["strategy"]: row for row in rows}
    row, other = by_strategy["rsi"], by_strategy["gap"]
    assert (row["symbols"], row["first"], row["last"]) == (["AAPL", HTML], "2018-01-02", "2018-01-11")
    assert (row["trades"], row["total_return_pct"], row["max_drawdown_pct"], row["win_rate_pct"]) == (2, 10.0, -20.0, 50.0)
    assert (row["annual_return_pct"], row["deflated_sharpe"], row["dataset"]) == (None, None, None)
    assert (other["deflated_sharpe"], other["dataset"]) == (0.9, "study@abc")
    assert [each["kind"] for each in read(api, "runs", kind="filtered")["rows"]] == ["filtered"]
    assert len(read(api, "runs", strategy="gap", dataset="study@abc")["rows"]) == 1
    assert read(api, "runs", strategy=HTML)["rows"] == []


def test_a_run_is_shown_whole_by_its_id_or_its_beginning(api: TestClient, desk: Desk) -> None:
    run = stored(desk)
    shown = read(api, f"runs/{run}")

    assert shown == read(api, f"runs/{run[:-3]}")
    assert (shown["run_id"], shown["metrics"]["profit_factor"], shown["metrics"]["total_return"]) == (run, None, 0.1)
    assert shown["meta"]["symbols"] == ["AAPL", HTML]


def test_a_runs_curve_is_thinned_and_keeps_both_ends(api: TestClient, desk: Desk) -> None:
    run = stored(desk, sessions=5_000, first="2001-01-01")
    whole, few = read(api, f"runs/{run}/equity"), read(api, f"runs/{run}/equity", points=3)

    assert len(whole["session"]) == len(whole["equity_usd"]) == len(whole["drawdown_pct"]) == 2_000
    assert few["session"] == ["2001-01-01", "2007-11-06", "2014-09-09"]
    assert few["equity_usd"] == [1000.0, 3500.0, 5999.0]
    assert read(api, f"runs/{stored(desk)}/equity")["drawdown_pct"][:3] == [0.0, -50.0, 0.0]


def test_the_trades_of_a_run_page_newest_first_and_export(api: TestClient, desk: Desk) -> None:
    run, other = stored(desk, many=45), stored(desk, many=3)
    seen: list[dict[str, Any]] = []
    after = None
    while True:
        page = read(api, f"runs/{run}/trades", limit=20, **({"after": after} if after else {}))
        seen, after = [*seen, *page["rows"]], page["next"]
        if after is None:
            break
    text = api.get(f"/research/runs/{run}/trades", params={"format": "csv"})

    assert [row["exit_session"] for row in seen] == sorted((row["exit_session"] for row in seen), reverse=True)
    assert len({row["exit_session"] for row in seen}) == len(seen) == 45
    assert (seen[0]["side"], seen[0]["net_return_pct"], seen[0]["sleeve"]) == ("long", 1.0, HTML)
    assert len(list(csv.DictReader(io.StringIO(text.text)))) == 45
    assert len(read(api, f"runs/{other}/trades")["rows"]) == 3


def test_a_run_without_trades_or_sessions_is_empty(api: TestClient, desk: Desk) -> None:
    run = stored(desk, sessions=0, many=0)

    assert read(api, f"runs/{run}/trades") == {"rows": [], "next": None}
    assert read(api, f"runs/{run}/equity") == {"run_id": run, "session": [], "equity_usd": [], "drawdown_pct": []}
    compared = read(api, "compare", run=[run, stored(desk)])
    assert (compared["session"], [each["value"] for each in compared["curves"]]) == ([], [[], []])


@pytest.mark.parametrize("part", ["", "/equity", "/trades"])
def test_a_run_that_is_not_on_record_is_no_page(api: TestClient, desk: Desk, part: str) -> None:
    stored(desk)
    stored(desk)

    for wrong in ("nothing", "2"):  # the second begins every id
        answer = api.get(f"/research/runs/{wrong}{part}")
        assert (answer.status_code, answer.json()["type"]) == (404, "urn:desk:UnknownRun")
    assert api.get(f"/research/runs/a%20b{part}").status_code == 422


def test_runs_are_compared_figure_by_figure_and_from_100_on_their_common_sessions(api: TestClient, desk: Desk) -> None:
    runs = [
        stored(desk, sessions=10, verdict={"deflated_sharpe": 0.4}),
        stored(desk, sessions=10, first="2018-01-05", evidence={"trials": 12}),
        stored(desk, sessions=20),
    ]
    found = read(api, "compare", run=runs)

    assert [each["run_id"] for each in found["runs"]] == [each["run_id"] for each in found["curves"]] == runs
    assert (found["session"][0], found["session"][-1], len(found["session"])) == ("2018-01-05", "2018-01-11", 7)
    assert [each["value"][0] for each in found["curves"]] == [100.0] * 3
    assert found["curves"][0]["value"][-1] == pytest.approx(100 * 1009 / 1003)
    assert found["curves"][1]["value"][-1] == pytest.approx(100 * 1006 / 1000)
    figures = {each["name"]: each for each in found["figures"]}
    assert [each["name"] for each in found["figures"]][:3] == ["sessions", "final_equity_usd", "total_return"]
    assert figures["total_return"] == {"name": "total_return", "unit": "fraction", "values": [0.1] * 3}
    assert figures["profit_factor"]["values"] == [None] * 3
    assert (figures["deflated_sharpe"]["values"], figures["trials"]["values"]) == ([0.4, None, None], [None, 12.0, None])
    assert figures["refused_drawdown"]["values"] == [3.0] * 3
    assert read(api, "compare", run=runs[::-1])["curves"][0]["run_id"] == runs[2], "in the order asked"


@pytest.mark.parametrize(
    ("places", "status", "kind"),
    [((0,), 422, "urn:desk:BadComparison"), ((0, 0), 422, "urn:desk:BadComparison"), (tuple(range(7)), 422, "about:blank")],
)
def test_too_few_too_many_or_the_same_runs_are_not_compared(
    api: TestClient, desk: Desk, places: tuple[int, ...], status: int, kind: str
) -> None:
    runs = [stored(desk) for _ in range(7)]
    answer = api.get("/research/compare", params={"run": [runs[place] for place in places]})

    assert (answer.status_code, answer.json()["type"]) == (status, kind)
    assert api.get("/research/compare", params={"run": [runs[0], "nothing"]}).status_code == 404
    assert api.get("/research/compare").status_code == 422
    assert api.get("/research/compare", params={"run": runs[:6]}).status_code == 200


def trial(key: str, params: dict[str, Any], sharpe: float | None, **more: Any) -> dict[str, Any]:
    metrics = None if sharpe is None else {"sharpe": sharpe, "trade_count": 40, "profit_per_trade": sharpe / 100}
    return {
        "key": key,
        "strategy": "rsi",
        "symbol": "AAPL",
        "params": params,
        "kind": "optimise",
        "first_session": dt.date(2018, 1, 2),
        "last_session": dt.date(2018, 12, 28),
        "metrics": metrics,
        "error": None if metrics else "failed",
        **more,
    }


def test_a_heat_map_has_the_mean_and_the_trials_of_each_cell(api: TestClient, desk: Desk) -> None:
    desk.trials.record(
        [
            trial("a", {"oversold": 20, "stop_pct": 1.0}, 1.0),
            trial("a", {"oversold": 20, "stop_pct": 1.0}, 1.0),  # on record twice, one backtest
            trial("b", {"oversold": 20, "stop_pct": 1.0}, 2.0, symbol="MSFT"),
            trial("c", {"oversold": 20, "stop_pct": 1.0}, None),
            trial("d", {"oversold": 100, "stop_pct": None}, 0.5),
            trial("e", {"oversold": 9.5}, 9.0),  # without the other parameter
            trial("f", {"oversold": 20, "stop_pct": 1.0}, 5.0, strategy="gap"),
        ]
    )
    found = read(api, "heatmap", strategy="rsi", x="oversold", y="stop_pct")

    assert (found["x"], found["y"]) == (
        {"name": "oversold", "values": ["20", "100"], "binned": False},
        {"name": "stop_pct", "values": ["1.0", "none"], "binned": False},
    )
    assert found["mean"] == [[1.5, None], [None, 0.5]]
    assert (found["count"], found["trials"]) == ([[2, 0], [0, 1]], [[3, 0], [0, 1]])
    assert (found["metric"], found["total"], found["left_out"]) == ("sharpe", 4, 0)
    assert read(api, "heatmap", strategy="rsi", symbol="MSFT", x="oversold", y="stop_pct")["mean"] == [[2.0]]
    swept = read(api, "heatmap", x="strategy", y="symbol", metric="profit_per_trade")
    assert (swept["x"]["values"], swept["y"]["values"], swept["trials"]) == (["gap", "rsi"], ["AAPL", "MSFT"], [[1, 4], [0, 1]])


def test_a_heat_map_knows_of_a_trial_that_was_stored_since(api: TestClient, desk: Desk) -> None:
    desk.trials.record([trial("a", {"oversold": 20, "stop_pct": 1.0}, 1.0)])
    before = read(api, "heatmap", x="oversold", y="stop_pct")
    desk.trials.record([trial("b", {"oversold": 20, "stop_pct": 1.0}, 3.0)])

    assert (before["mean"], read(api, "heatmap", x="oversold", y="stop_pct")["mean"]) == ([[1.0]], [[2.0]])


def test_many_numbers_are_put_into_bins_and_many_texts_are_cut(api: TestClient, desk: Desk) -> None:
    desk.trials.record(
        trial(
            f"k{number}",
            {"oversold": number / 10, "stop_pct": None if number == 0 else 1.0 + number / 1000},
            float(number),
            symbol=f"S{number:03}",
        )
        for number in range(201)
    )
    found = read(api, "heatmap", x="oversold", y="stop_pct")
    by_symbol = read(api, "heatmap", x="symbol", y="strategy")

    assert (found["x"]["binned"], len(found["x"]["values"]), found["x"]["values"][0]) == (True, 20, "0 to 1")
    assert (len(found["y"]["values"]), found["y"]["values"][-1]) == (21, "none")
    assert sum(map(sum, found["trials"])) == found["total"] == 201
    assert found["trials"][-1][0] == 1
    assert (len(by_symbol["x"]["values"]), by_symbol["left_out"], by_symbol["x"]["binned"]) == (50, 151, False)


def test_a_heat_map_of_nothing_is_empty_and_of_nonsense_is_refused(api: TestClient, desk: Desk) -> None:
    desk.trials.record([trial("a", {"oversold": 20}, 1.0)])
    empty = read(api, "heatmap", x="oversold", y="moon", strategy=HTML)

    assert (empty["mean"], empty["x"]["values"], empty["total"], empty["strategy"]) == ([], [], 0, HTML)
    for query in ({"x": "oversold", "y": "oversold"}, {"x": "oversold", "y": "stop_pct", "metric": "moon"}):
        answer = api.get("/research/heatmap", params=query)
        assert (answer.status_code, answer.json()["type"]) == (422, "urn:desk:BadHeatMap")
    assert api.get("/research/heatmap", params={"x": "a b", "y": "c"}).status_code == 422
    assert api.get("/research/heatmap", params={"x": "oversold"}).status_code == 422


def test_the_newest_sweep_is_ranked(api: TestClient, desk: Desk) -> None:
    swept = {"kind": "sweep", "last_session": dt.date(2018, 12, 28)}
    desk.trials.record(
        [
            *(
                trial(f"k{number}", {"named": "rsi:tuned", "vix_gate": True}, float(number), symbol=f"S{number}", **swept)
                for number in range(5)
            ),
            trial("old", {"named": "rsi"}, 99.0, kind="sweep", last_session=dt.date(2018, 6, 1)),
            trial("other", {"named": "rsi"}, 99.0),
            trial("study", {"named": "gap"}, 50.0, dataset="study@abc", **swept),
        ]
    )
    first = read(api, "rankings", limit=2)
    second = read(api, "rankings", after=first["next"])
    rows = [*first["rows"], *second["rows"]]

    assert [(row["rank"], row["symbol"], row["profit_per_trade_pct"]) for row in rows] == [
        (number + 1, f"S{4 - number}", pytest.approx(4.0 - number)) for number in range(5)
    ]
    assert (rows[0]["strategy"], rows[0]["label"], rows[0]["session"]) == ("rsi:tuned_vix", "rsi:tuned_vix@S4", "2018-12-28")
    assert (rows[0]["key"], rows[0]["trades"], rows[0]["win_rate_pct"], rows[0]["created_at"]) == ("sweep", 40, None, None)
    assert read(api, "rankings", min_trades=41) == {"rows": [], "next": None}
    assert api.get("/research/rankings", params={"dataset": "unknown"}).status_code == 409


def test_members_of_shortlists_come_newest_first_in_their_order(api: TestClient, desk: Desk) -> None:
    store, curve = (
        Shortlists(desk.engine),
        pd.DataFrame({"label": ["rsi@A"], "session": [dt.date(2018, 1, 2)], "equity_usd": [1.0]}),
    )
    figures = {"sharpe": None, "profit_per_trade": 0.01, "trade_count": 31}
    for key, dataset in (("old", None), ("new", "study@abc")):
        members = [{"label": label, "metrics": figures} for label in ("rsi@A", "gap@B", HTML)]
        store.save(key, session=dt.date(2018, 12, 28), members=members, equity=curve, dataset=dataset)
    first = read(api, "rankings", of="shortlist", limit=4)
    second = read(api, "rankings", of="shortlist", after=first["next"])
    rows = [*first["rows"], *second["rows"]]

    assert [(row["key"], row["rank"], row["label"]) for row in rows] == [
        (key, place, label) for key in ("new", "old") for place, label in enumerate(("rsi@A", "gap@B", HTML), start=1)
    ]
    assert (rows[0]["strategy"], rows[0]["symbol"], rows[0]["sharpe"], rows[0]["profit_per_trade_pct"]) == (
        "rsi",
        "A",
        None,
        1.0,
    )
    assert len(read(api, "rankings", of="shortlist", dataset="study")["rows"]) == 3


def test_an_empty_desk_has_empty_pages(api: TestClient) -> None:
    assert read(api, "runs") == read(api, "rankings") == read(api, "rankings", of="shortlist") == {"rows": [], "next": None}
    assert read(api, "heatmap", x="oversold", y="stop_pct")["total"] == 0


def test_pages_of_research_need_a_key_where_keys_are_set(desk: Desk) -> None:
    desk.settings = desk.settings.with_changes(api__read_keys="r" * 20)
    run = stored(desk)
    with client_of(desk) as api:
        for path in ("runs", f"runs/{run}", f"runs/{run}/equity", f"runs/{run}/trades", "rankings", "compare", "heatmap"):
            assert api.get(f"/research/{path}").status_code == 401
            assert api.get(f"/research/{path}", headers={"X-API-Key": "r" * 20}).status_code in {200, 422}
