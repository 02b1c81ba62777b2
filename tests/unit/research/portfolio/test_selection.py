"""Ranks, correlations and the diversified pick, on tables a person can check."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import ConfigError, DataError
from research.portfolio.selection import RANKED, correlations, diversify, flagged, heat_map, label, rank, returns_of


def results(*rows: tuple[object, ...]) -> pd.DataFrame:
    """Rows of strategy, symbol, profit, sharpe and trades; the other figures are the same for all."""
    table = pd.DataFrame(rows, columns=["strategy", "symbol", "profit_per_trade", "sharpe", "trade_count"])
    return table.assign(win_rate=0.5, max_drawdown=-0.1, avg_hold_days=2.0)


def curve(values: list[float], first: str = "2024-01-01") -> pd.DataFrame:
    sessions = pd.date_range(first, periods=len(values), freq="D")
    return pd.DataFrame({"session": sessions, "equity_usd": values})


def matrix(**pairs: float) -> pd.DataFrame:
    """A correlation matrix from pairs named `ab=0.3`."""
    names = sorted({letter for pair in pairs for letter in pair})
    table = pd.DataFrame(np.eye(len(names)), index=names, columns=names)
    for pair, value in pairs.items():
        table.loc[pair[0], pair[1]] = table.loc[pair[1], pair[0]] = value
    return table


def many(rows: int) -> pd.DataFrame:
    rng = np.random.default_rng(7)
    table = results(*((f"s{i % 6}", f"S{i // 6}", 0.0, 0.0, 5) for i in range(rows)))
    return table.assign(profit_per_trade=rng.normal(size=rows).round(2), sharpe=rng.normal(size=rows))


# --- rank ---


def test_the_ranked_table_has_the_columns_of_the_csv_in_their_order() -> None:
    asked = "rank,strategy,symbol,profit_per_trade,win_rate,sharpe,max_drawdown,trade_count,avg_hold_days"

    table = rank(results(("rsi", "SPY", 0.01, 1.0, 9)))

    assert ",".join(RANKED) == asked
    assert table.to_csv(index=False).splitlines() == [asked, "1,rsi,SPY,0.01,0.5,1.0,-0.1,9,2.0"]


def test_profit_goes_first_then_sharpe_then_the_names() -> None:
    table = rank(
        results(
            ("b", "X", 0.01, 1.0, 5),
            ("a", "Y", 0.01, 1.0, 5),
            ("a", "X", 0.01, 1.0, 5),
            ("c", "X", 0.01, 2.0, 5),
            ("d", "X", 0.02, -1.0, 5),
        )
    )

    assert [label(row.strategy, row.symbol) for row in table.itertuples()] == ["d@X", "c@X", "a@X", "a@Y", "b@X"]
    assert table["rank"].tolist() == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("undefined", [None, np.nan, np.inf, -np.inf])
def test_an_undefined_figure_ranks_last_and_is_not_zero(undefined: float | None) -> None:
    table = rank(results(("none", "X", undefined, 9.0, 5), ("loser", "X", -0.5, undefined, 5), ("winner", "X", 0.5, 0.0, 5)))

    assert table["strategy"].tolist() == ["winner", "loser", "none"]
    assert np.isnan(table["profit_per_trade"].iloc[2])
    assert np.isnan(table["sharpe"].iloc[1])


def test_too_few_trades_and_failed_runs_are_left_out() -> None:
    table = results(
        ("failed", "X", None, None, None),
        ("rare", "X", 0.9, 1.0, 3),
        ("often", "X", 0.1, 1.0, 30),
        ("never", "X", None, None, 0),
    )

    assert rank(table)["strategy"].tolist() == ["rare", "often"]
    assert rank(table, min_trades=4)["strategy"].tolist() == ["often"]
    assert rank(table, min_trades=31).empty
    assert rank(table.iloc[:0]).columns.tolist() == list(RANKED)


def test_other_columns_are_kept_to_the_right() -> None:
    table = rank(results(("a", "X", 0.1, 1.0, 5), ("b", "X", 0.2, 1.0, 5)).assign(run=["r1", "r2"]))

    assert table.columns.tolist() == [*RANKED, "run"]
    assert table["run"].tolist() == ["r2", "r1"]


def test_a_missing_column_is_named() -> None:
    with pytest.raises(DataError, match="found none named sharpe, avg_hold_days"):
        rank(results(("a", "X", 0.1, 1.0, 5)).drop(columns=["sharpe", "avg_hold_days"]))


def test_text_among_the_figures_is_named() -> None:
    with pytest.raises(DataError, match="expected numbers in sharpe"):
        rank(results(("a", "X", 0.1, "NaN?", 5)))


@settings(deadline=None)
@given(st.permutations(range(12)))
def test_the_order_of_the_results_is_irrelevant(order: list[int]) -> None:
    table = many(12).assign(profit_per_trade=[0.1, 0.1, None] * 4)

    pd.testing.assert_frame_equal(rank(table.iloc[order]), rank(table))


def test_ten_thousand_runs_are_ranked() -> None:
    ranked = rank(many(10_000))

    assert ranked["profit_per_trade"].is_monotonic_decreasing
    assert len(ranked) == 10_000


# --- returns and correlations ---


def test_only_the_sessions_that_all_curves_have_count() -> None:
    curves = {"long": curve([100, 110, 121, 108.9], "2024-01-01"), "late": curve([50, 100, 150], "2024-01-02")}

    returns = returns_of(curves)

    assert returns.columns.tolist() == ["long", "late"]
    assert returns.index.tolist() == [pd.Timestamp("2024-01-03"), pd.Timestamp("2024-01-04")]
    assert returns.to_numpy() == pytest.approx(np.array([[0.1, 1.0], [-0.1, 0.5]]))


def test_a_return_runs_from_one_shared_close_to_the_next() -> None:
    coin = curve([100, 110, 121])
    stock = curve([100, 0.1, 105]).drop(index=1)

    assert returns_of({"coin": coin, "stock": stock}).to_numpy() == pytest.approx(np.array([[0.21, 0.05]]))


def test_curves_that_share_no_sessions_are_named_with_their_spans() -> None:
    with pytest.raises(DataError, match=r"share two sessions or more, found 0: old 2001-01-01.*; new 2024-01-01"):
        returns_of({"old": curve([1, 2, 3], "2001-01-01"), "new": curve([1, 2, 3])})


@pytest.mark.parametrize("value", [0.0, -5.0, np.nan, np.inf])
def test_equity_that_no_account_can_have_is_refused(value: float) -> None:
    with pytest.raises(DataError, match="Equity of wrong: expected above 0"):
        returns_of({"wrong": curve([100, value, 100])})


def test_a_session_that_comes_twice_is_refused() -> None:
    with pytest.raises(DataError, match=r"each session once, found 2024-01-02.* twice"):
        returns_of({"twice": pd.concat([curve([1, 2]), curve([1, 2]).iloc[1:]])})


def test_no_curves_at_all_say_what_to_run() -> None:
    with pytest.raises(DataError, match="found none"):
        returns_of({})


def test_correlations_are_those_of_a_textbook() -> None:
    # Sums of products by hand: the deviations are (-1, 0, 1), (-1, 1, 0) and (1, 0, -1).
    table = correlations(pd.DataFrame({"a": [1.0, 2.0, 3.0], "b": [1.0, 3.0, 2.0], "c": [3.0, 2.0, 1.0]}))

    assert table.to_numpy() == pytest.approx(np.array([[1, 0.5, -1], [0.5, 1, -0.5], [-1, -0.5, 1]]))


def test_correlations_are_those_of_numpy() -> None:
    values = np.random.default_rng(3).normal(0.001, 0.02, size=(500, 12))

    table = correlations(pd.DataFrame(values))

    assert table.to_numpy() == pytest.approx(np.corrcoef(values, rowvar=False), abs=1e-12)
    assert (np.diag(table) == 1).all()
    assert table.to_numpy().tolist() == table.to_numpy().T.tolist()


def test_a_curve_that_never_moved_has_no_correlation_with_anything() -> None:
    returns = pd.DataFrame({"moves": [0.1, -0.1, 0.2], "flat": [0.0] * 3, "steady": [0.01] * 3, "gap": [0.1, np.nan, 0.3]})

    table = correlations(returns)

    assert table.loc["moves", "moves"] == 1
    assert table.notna().to_numpy().sum() == 1


def test_two_returns_are_too_few_for_a_correlation() -> None:
    assert correlations(pd.DataFrame({"a": [0.1, 0.2], "b": [0.2, 0.1]})).isna().to_numpy().all()


def test_pairs_over_the_limit_are_flagged_once_the_closest_first() -> None:
    pairs = flagged(matrix(ab=0.71, ac=-0.95, bc=0.9, ad=0.7, bd=np.nan, cd=0.0))

    assert pairs.to_numpy().tolist() == [["b", "c", 0.9], ["a", "b", 0.71]]
    assert flagged(matrix(ab=0.71, ac=0.2), above=0.8).empty


# --- the diversified pick ---


def test_each_pick_is_the_best_that_resembles_none_before_it() -> None:
    pick = diversify(matrix(ab=0.6, ac=0.49, ad=0.1, bc=0.0, bd=0.0, cd=0.2), ["a", "b", "c", "d"])

    assert pick.chosen == ("a", "c", "d")
    assert pick.dropped.to_numpy().tolist() == [["b", "a", 0.6]]
    assert pick.message == "3 chosen from the best 4, every pair correlated under 0.5."


def test_exactly_the_limit_is_too_close_and_an_offsetting_curve_is_welcome() -> None:
    assert diversify(matrix(ab=0.5), ["a", "b"], at_most=2).chosen == ("a",)
    assert diversify(matrix(ab=-0.99), ["a", "b"], at_most=2).chosen == ("a", "b")


def test_too_few_uncorrelated_is_a_smaller_pick_and_a_clear_message() -> None:
    table = matrix(ab=0.9, ac=0.8, bc=0.95, ad=np.nan, bd=np.nan, cd=np.nan)

    pick = diversify(table, ["a", "b", "c", "d"])

    assert pick.chosen == ("a",)
    assert pick.message == (
        "1 of the 3 asked for: of 4 looked at, no more are correlated under 0.5: 2 too close to a better one,"
        " 1 with an undefined correlation. The portfolio is smaller."
    )
    assert pick.dropped["name"].tolist() == ["b", "c", "d"]
    assert pick.dropped["because_of"].tolist() == ["a", "a", None]


def test_fewer_candidates_than_slots_is_said_without_a_reason() -> None:
    assert diversify(matrix(ab=0.1), ["b", "a"]).message == (
        "2 of the 3 asked for: of 2 looked at, no more are correlated under 0.5. The portfolio is smaller."
    )


def test_curves_that_never_moved_make_no_portfolio() -> None:
    pick = diversify(correlations(pd.DataFrame({"a": [0.0] * 5, "b": [0.0] * 5})), ["a", "b"])

    assert pick.chosen == ()
    assert pick.message.endswith("2 with an undefined correlation. There is no portfolio.")


def test_an_unknown_label_suggests_the_nearest() -> None:
    with pytest.raises(DataError, match=r"'rsi@SPX'. Did you mean rsi@SPY\?"):
        diversify(pd.DataFrame([[1.0]], index=["rsi@SPY"], columns=["rsi@SPY"]), ["rsi@SPX"])


def test_a_pick_of_none_is_refused() -> None:
    with pytest.raises(ConfigError, match="at_most: expected 1 or more, found 0"):
        diversify(matrix(ab=0.1), ["a"], at_most=0)


@settings(deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 8), st.floats(-0.2, 0.9))
def test_a_pick_is_uncorrelated_and_nothing_better_was_passed_over(seed: int, at_most: int, below: float) -> None:
    rng = np.random.default_rng(seed)
    returns = pd.DataFrame(rng.normal(size=(30, 1)) + rng.normal(size=(30, 8)), columns=list("abcdefgh"))
    table = correlations(returns)
    order = rng.permutation(list("abcdefgh")).tolist()

    pick = diversify(table, order, below=below, at_most=at_most)

    assert pick.chosen[0] == order[0]
    assert len(pick.chosen) <= at_most
    assert all(table.loc[one, other] < below for one, other in itertools.combinations(pick.chosen, 2))
    assert list(pick.chosen) == sorted(pick.chosen, key=order.index)
    for name, rival, how_much in pick.dropped.itertuples(index=False):
        assert how_much == table.loc[name, rival] >= below
        assert order.index(rival) < order.index(name)
    assert len(pick.chosen) + len(pick.dropped) == len(order) or len(pick.chosen) == at_most


def test_a_thousand_curves_of_ten_years_are_correlated_and_picked() -> None:
    returns = pd.DataFrame(np.random.default_rng(1).normal(size=(2520, 1000)))
    returns.columns = returns.columns.astype(str)

    pick = diversify(correlations(returns), list(returns), at_most=1000)

    assert len(pick.chosen) == 1000  # unrelated, so all are taken


# --- the heat map ---


def test_the_heat_map_shows_every_pair_and_leaves_the_undefined_blank() -> None:
    figure = heat_map(matrix(ab=0.256, ac=np.nan, bc=-1.0))
    cells = figure.data[0]

    assert cells.x == cells.y == ("a", "b", "c")
    assert [list(row) for row in cells.text] == [["1.00", "0.26", ""], ["0.26", "1.00", "-1.00"], ["", "-1.00", "1.00"]]
    assert (cells.zmin, cells.zmid, cells.zmax) == (-1, 0, 1)
