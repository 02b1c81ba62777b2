"""The report of a run: one file that loads nothing, figures a person can check, and data that cannot act as mark-up."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backtest.metrics import drawdown, summarise
from core.frames import TRADES
from research.charts import MOST_SYMBOLS, bins_around_zero, distribution_chart, equity_chart, symbol_chart, trade_chart
from research.report import to_html, to_markdown, verdict
from research.report_tables import (
    Report,
    comparison,
    exit_reasons,
    figure_sheets,
    figure_text,
    largest_trades,
    meta_text,
    monthly_returns,
    worst_drawdowns,
)

CASH = 100.0
SESSIONS = ["2020-01-30", "2020-01-31", "2020-02-03", "2020-04-01", "2021-01-04", "2021-01-05"]
EQUITY_USD = [110.0, 99.0, 121.0, 108.9, 60.5, 133.1]
HOSTILE = "<script>alert('x')</script>"


def curve(sessions: list[str] = SESSIONS, equity_usd: list[float] = EQUITY_USD) -> pd.DataFrame:
    values = np.asarray(equity_usd, dtype=np.float64)
    below = drawdown(np.concatenate([[CASH], values]))[1:]
    return pd.DataFrame({"session": pd.to_datetime(sessions), "equity_usd": values, "drawdown": below})


def trades(net: list[float], reasons: list[str] | None = None, symbols: list[str] | None = None) -> pd.DataFrame:
    """One trade a return, entered on successive days, held a session, of 1,000 USD each and free of costs."""
    n = len(net)
    entry = pd.date_range("2020-01-30", periods=n, freq="D")
    frame = pd.DataFrame(
        {
            "symbol": symbols or ["AAA"] * n,
            "strategy": "bollinger",
            "side": np.ones(n, dtype=np.int8),
            "decision_session": entry - pd.Timedelta(days=1),
            "entry_session": entry,
            "exit_session": entry + pd.Timedelta(days=1),
            "entry_price": 100.0,
            "exit_price": 100 * (1 + np.asarray(net, dtype=np.float64)),
            "quantity": 10.0,
            "gross_return": net,
            "net_return": net,
            "pnl_usd": 1000 * np.asarray(net, dtype=np.float64),
            "cost_usd": 0.0,
            "holding_sessions": 1,
            "reason": reasons or ["signal"] * n,
        }
    )
    return TRADES.coerce(frame)


def report(of: pd.DataFrame | None = None, equity: pd.DataFrame | None = None, **changed: object) -> Report:
    equity = curve() if equity is None else equity
    of = trades([0.02, -0.01]) if of is None else of
    metrics = summarise(of, equity["equity_usd"].to_numpy(), np.zeros(len(equity)), CASH)
    parts: dict[str, object] = {
        "title": "Bollinger on two symbols",
        "meta": {"strategy": "bollinger", "params": {"period": 20, "stop_pct": None}, "initial_cash_usd": CASH},
        "metrics": metrics,
        "evidence": {"sharpe_se": 0.3, "deflated_sharpe": 0.41, "trials": 1234},
        "trades": of,
        "equity": equity,
    }
    return Report(**(parts | changed))  # type: ignore[arg-type]


class Page(HTMLParser):
    """What a browser would load from elsewhere, the figures by name, the headings, and tags left open."""

    VOID = frozenset({"meta", "br", "link", "img", "input", "hr"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.figures: dict[str, tuple[str | None, str]] = {}
        self.headings: list[str] = []
        self.scripts = 0
        self.open: list[str] = []
        self._figure: tuple[str, str | None] | None = None
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given_ = dict(attrs)
        self.loaded += [str(given_[name]) for name in ("src", "href", "srcset", "action") if name in given_]
        self.scripts += tag == "script"
        if tag not in self.VOID:
            self.open.append(tag)
        if tag == "data":
            self._figure = (str(given_["data-figure"]), given_["value"])

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in {"h2", "h3"}:
            self.headings.append(data)
        if self._figure:
            name, value = self._figure
            self.figures.setdefault(name, (value, data))
            self._figure = None


def own_scripts(text: str) -> str:
    """The page without plotly.js, whose source names addresses of its own."""
    from plotly.offline import get_plotlyjs

    assert text.count(get_plotlyjs()) == 1
    return text.replace(get_plotlyjs(), "")


def test_the_page_is_one_file_that_loads_nothing() -> None:
    text = to_html(report(benchmarks={"buy_and_hold": curve()}))

    page = Page(own_scripts(text))
    assert page.loaded == []
    assert page.open == []
    assert not re.search(r"https?://|@import|url\(", own_scripts(text))
    assert "default-src 'none'" in text  # the browser is told not to load anything either


def test_the_page_shows_every_part_in_order() -> None:
    page = Page(own_scripts(to_html(report())))

    assert page.headings[:8] == [
        "How far to believe it", "Equity", "Monthly returns", "Trades by exit", "Distribution of returns", "Symbols",
        "Exit reasons", "Largest trades",
    ]  # fmt: skip


def test_a_figure_stands_in_the_page_rounded_and_in_full() -> None:
    page = Page(own_scripts(to_html(report())))

    assert page.figures["total_return"] == ("0.33099999999999996", "33.10%")  # 133.1 / 100 - 1
    assert page.figures["deflated_sharpe"] == ("0.41", "0.410")
    assert page.figures["trade_count"] == ("2", "2")
    assert page.figures["profit_per_trade"] == ("0.005", "0.50%")


def test_an_undefined_figure_is_a_dash_in_both_forms() -> None:
    only_winners = report(trades([0.02]))

    assert only_winners.metrics["profit_factor"] is None
    assert Page(own_scripts(to_html(only_winners))).figures["profit_factor"] == ("", "-")
    assert "| Profit factor | - |" in to_markdown(only_winners)


@pytest.mark.parametrize("value", [None, float("nan"), float("inf"), np.nan, pd.NaT])
def test_what_is_not_a_finite_number_is_a_dash(value: object) -> None:
    assert figure_text("sharpe", value) == "-"


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("max_drawdown", -0.1234, "-12.34%"),
        ("sharpe", 1.005, "1.00"),
        ("sharpe", np.float64(-0.5), "-0.50"),
        ("random_entry_p", 0.0123, "0.012"),
        ("final_equity_usd", 1_234_567.8, "1,234,568"),
        ("sessions", np.int64(2520), "2,520"),
        ("start", pd.Timestamp("2020-02-03"), "2020-02-03"),
        ("survives", True, "True"),
    ],
)
def test_a_figure_is_written_as_its_name_says(name: str, value: object, text: str) -> None:
    assert figure_text(name, value) == text


def test_a_description_is_written_on_one_line_whatever_it_is() -> None:
    assert meta_text({"period": 20, "stop_pct": None}) == "period = 20, stop_pct = -"
    assert meta_text(["AAA", "BBB"]) == "2: AAA, BBB"
    assert meta_text([f"S{i}" for i in range(42)]).endswith("S39 and 2 more")
    assert [meta_text(value) for value in ({}, [], None, 100_000, "a")] == ["-", "-", "-", "100,000", "a"]


def test_months_and_years_by_hand() -> None:
    table = monthly_returns(curve(), CASH)

    assert list(table.index) == [2020, 2021]
    assert table.loc[2020, 1] == pytest.approx(99 / 100 - 1)  # from the cash it began with to the last close of January
    assert table.loc[2020, 2] == pytest.approx(121 / 99 - 1)
    assert table.loc[2020, 4] == pytest.approx(108.9 / 121 - 1)  # from the close before, which was in February
    assert table.loc[2020, [3, *range(5, 13)]].isna().all()
    assert table.loc[2020, "year"] == pytest.approx(0.089)
    assert table.loc[2021, [1, "year"]].tolist() == pytest.approx([133.1 / 108.9 - 1] * 2)


def test_without_the_cash_a_curve_starts_at_its_first_close() -> None:
    assert monthly_returns(curve()).loc[2020, 1] == pytest.approx(99 / 110 - 1)


def test_drawdowns_by_hand_the_deepest_first() -> None:
    table = worst_drawdowns(curve())

    assert table["depth"].tolist() == pytest.approx([60.5 / 121 - 1, 99 / 110 - 1])  # -50 %, -10 %
    dates = {name: table[name].dt.date.astype(str).tolist() for name in ("start", "trough", "end")}
    assert dates == {
        "start": ["2020-02-03", "2020-01-30"],
        "trough": ["2021-01-04", "2020-01-31"],
        "end": ["2021-01-05", "2020-02-03"],
    }
    assert table["sessions"].tolist() == [2, 1]


def test_a_drawdown_that_has_not_ended_has_no_end() -> None:
    under = curve(SESSIONS[:3], [99.0, 90.0, 95.0])  # below the cash from the first close on

    table = worst_drawdowns(under)

    assert table["end"].isna().tolist() == [True]
    assert table.loc[0, "start"] == pd.Timestamp(SESSIONS[0])
    assert table.loc[0, "sessions"] == 3
    assert re.search(r"\| 1 \| 2020-01-30 \| 2020-01-31 \| - \| -10.00% \| 3 \|", to_markdown(report(equity=under)))


@given(st.lists(st.floats(1.0, 1000.0), min_size=1, max_size=400), st.integers(0, 3000))
def test_months_multiply_to_the_whole_and_drawdowns_cover_every_close_under_water(values: list[float], offset: int) -> None:
    start = pd.Timestamp("2010-01-04") + pd.Timedelta(days=offset)
    equity = curve([str(day) for day in pd.date_range(start, periods=len(values))], values)

    table, falls = monthly_returns(equity, CASH), worst_drawdowns(equity, n=400)

    whole = values[-1] / CASH
    assert np.nanprod(1 + table[list(range(1, 13))].to_numpy(dtype=np.float64)) == pytest.approx(whole)
    assert (1 + table["year"]).prod() == pytest.approx(whole)
    assert falls["sessions"].sum() == (equity["drawdown"] < 0).sum()
    if len(falls):
        assert falls["depth"].iloc[0] == equity["drawdown"].min()


def test_the_largest_trades_come_with_the_band_they_touched_and_a_dash_without_one() -> None:
    made = trades([0.02, -0.01, 0.03, -0.04, 0.01], symbols=["B", "C", "A", "D", HOSTILE])
    means, bands = {"B": 101.5, "A": 100.0, "D": 102.0}, {"B": 99.25, "A": 98.0, "D": 97.0}
    banded = made.assign(mean_price=made["symbol"].map(means), band_price=made["symbol"].map(bands))

    sheet = largest_trades(banded, each=2)

    assert [label for label, _ in sheet.rows] == ["D", "C", "B", "A"], "the two worst and the two best, worst first"
    named = [{cell.name: figure_text(*cell) for cell in cells} for _, cells in sheet.rows]
    assert [(row["mean_price"], row["band_price"]) for row in named] == [
        ("102.00", "97.00"), ("-", "-"), ("101.50", "99.25"), ("100.00", "98.00"),
    ]  # fmt: skip
    assert [row["net_return"] for row in named] == ["-4.00%", "-1.00%", "2.00%", "3.00%"]
    assert len(largest_trades(made).rows) == 5, "all of a few, without bands too"
    page = to_html(report(banded))
    assert "Band at the decision" in page
    assert HOSTILE not in page


def test_exit_reasons_by_hand_the_most_frequent_first() -> None:
    sheet = exit_reasons(trades([0.02, -0.01, 0.03, -0.04], ["signal", "stop_gap", "signal", "signal"]))

    assert [name for name, _ in sheet.rows] == ["Signal", "Stop gap"]
    values = {cell.name: cell.value for cell in sheet.rows[0][1]}
    assert values["trade_count"] == 3
    assert values["share"] == 0.75
    assert values["win_rate"] == pytest.approx(2 / 3)
    assert values["profit_per_trade"] == pytest.approx(0.01 / 3)
    assert values["pnl_usd"] == pytest.approx(10)


def test_a_benchmark_stands_beside_the_run_with_its_own_evidence() -> None:
    evidence = {"sharpe_se": 0.3, "buy_and_hold_sharpe": 0.9, "buy_and_hold_total_return": 0.5, "random_entry_p": 0.04}

    shown = report(evidence=evidence, benchmarks={"buy_and_hold": curve()})

    rows = {name: {cell.name: cell.value for cell in cells} for name, cells in comparison(shown).rows}
    assert rows["This run"]["sharpe"] == shown.metrics["sharpe"]
    assert (rows["Buy and hold"]["sharpe"], rows["Buy and hold"]["total_return"]) == (0.9, 0.5)
    assert rows["Buy and hold"]["deflated_sharpe"] is None
    others = {sheet.title: [name for name, _ in sheet.rows] for sheet in figure_sheets(shown)}
    assert others["Other evidence"] == ["p against random entries"]


def test_no_figure_of_a_run_is_left_out() -> None:
    shown = report()

    refused = report(metrics={**shown.metrics, "refused_heat": 3, "new_figure": 1.5})

    names = [cells[0].name for sheet in figure_sheets(refused) for _, cells in sheet.rows]
    assert set(refused.metrics) <= set(names)
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("evidence", "says"),
    [
        ({"deflated_sharpe": 0.951, "trials": 1234}, "Survives deflation: Sharpe 1.20, deflated 0.951 after 1,234 trials"),
        ({"deflated_sharpe": 0.9499, "trials": 1}, "Does not survive deflation: Sharpe 1.20, deflated 0.949 after 1 trial, "),
        ({"deflated_sharpe": None, "trials": 12}, "not defined here"),
        ({}, "not defined here"),
    ],
)
def test_the_verdict_says_whether_the_result_survives_its_trials(evidence: dict[str, object], says: str) -> None:
    shown = report(metrics={"trade_count": 9, "sharpe": 1.2}, evidence=evidence)

    assert says in verdict(shown)
    assert says in to_html(shown)
    assert says in to_markdown(shown)


def test_a_run_without_trades_is_reported_as_such() -> None:
    flat = curve(SESSIONS, [CASH] * len(SESSIONS))
    shown = report(trades([]), flat)

    page = Page(own_scripts(to_html(shown)))

    assert shown.metrics["sharpe"] is None
    assert page.figures["sharpe"] == ("", "-")
    assert page.figures["trade_count"] == ("0", "0")
    assert {"Trades", "Worst drawdowns"} <= set(page.headings)
    assert "Exit reasons" not in page.headings
    assert "No trade was made." in to_markdown(shown)
    assert "nan" not in to_markdown(shown).lower()


def test_a_run_of_one_session_is_reported() -> None:
    one = curve(SESSIONS[:1], EQUITY_USD[:1])

    text = to_markdown(report(trades([0.1]), one))

    assert "| 2020 | 10.00% |" in text
    assert "| Sharpe | - |" in text
    assert equity_chart(one, {}).data[0].mode == "markers"  # a line of one point is invisible
    assert Page(own_scripts(to_html(report(trades([0.1]), one)))).open == []


def test_a_curve_of_no_session_is_reported() -> None:
    none = report(trades([]), curve([], []), metrics={"trade_count": 0})

    assert "No trade was made." in to_html(none)
    assert "No trade was made." in to_markdown(none)


def test_names_from_data_cannot_act_as_mark_up() -> None:
    of = trades([0.02, -0.01], [HOSTILE, "stop"], [HOSTILE, "A&B"])
    plain = Page(own_scripts(to_html(report())))

    text = to_html(
        report(of, title=HOSTILE, meta={HOSTILE: HOSTILE}, evidence={HOSTILE: HOSTILE}, benchmarks={HOSTILE: curve()})
    )

    assert HOSTILE not in text
    assert Page(own_scripts(text)).scripts == plain.scripts
    assert "A&amp;B" in text


def test_a_template_s_own_signs_in_data_are_left_alone() -> None:
    assert "$plotly and $$" in to_html(report(title="$plotly and $$"))


def test_names_from_data_cannot_act_in_markdown() -> None:
    text = to_markdown(report(title="a|b\n# c", meta={"strategy": "`x` [y](z) <b> a*b_c"}))

    assert text.startswith("# a\\|b # c\n")
    assert "- Strategy: \\`x\\` \\[y\\](z) &lt;b&gt; a\\*b\\_c\n" in text


def test_every_row_of_a_markdown_table_has_as_many_cells_as_its_head() -> None:
    for part in to_markdown(report(benchmarks={"a|b": curve()})).split("\n\n"):
        rows = [re.sub(r"\\\|", "", line).count("|") for line in part.splitlines() if line.startswith("|")]
        assert all(one == other for one, other in pairwise(rows))


def test_no_bar_of_the_distribution_mixes_losses_with_gains() -> None:
    edges = bins_around_zero(np.array([-0.033, 0.001, 0.02, 0.05]))

    assert 0.0 in edges.tolist()
    assert edges[0] <= -0.033
    assert edges[-1] >= 0.05


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=200))
def test_the_distribution_counts_every_trade_once(net: list[float]) -> None:
    values = np.asarray(net)
    edges = bins_around_zero(values)

    assert np.histogram(values, edges)[0].sum() == len(values)
    assert np.abs(edges).min() == 0
    assert len(edges) <= 90


def test_trades_are_drawn_by_the_reason_they_ended_for() -> None:
    figure = trade_chart(trades([0.02, -0.01, 0.03], ["signal", "stop", "signal"]))

    assert [trace.name for trace in figure.data] == ["Signal", "Stop"]
    assert [len(trace.x) for trace in figure.data] == [2, 1]
    assert sum(distribution_chart(trades([0.02, -0.01, 0.03])).data[0].y) == 3


def test_of_many_symbols_the_best_and_the_worst_are_drawn() -> None:
    n = MOST_SYMBOLS + 20
    figure = symbol_chart(trades([i / 1000 for i in range(n)], symbols=[f"S{i:03d}" for i in range(n)]))

    names = list(figure.data[0].y)
    assert len(names) == MOST_SYMBOLS
    assert (names[0], names[-1]) == ("S000", f"S{n - 1:03d}")
    assert "S040" not in names


def test_curves_far_apart_start_on_a_logarithmic_axis() -> None:
    tenfold = curve(SESSIONS[:2], [100.0, 1000.0])

    assert equity_chart(tenfold, {}).layout.yaxis.type == "log"
    assert equity_chart(curve(), {"buy_and_hold": tenfold}).layout.yaxis.type == "log"
    assert equity_chart(curve(), {}).layout.yaxis.type == "linear"
    assert equity_chart(curve(SESSIONS[:2], [100.0, -5.0]), {}).layout.yaxis.type == "linear"  # none of a loss beyond all
