"""The choice among backtests: ranks, correlations, a diversified pick.

An undefined figure is NaN in a numeric column (null once stored) and never counts as zero: it ranks last, and a curve whose
correlation is undefined is not taken for an uncorrelated one.
"""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from core.errors import ConfigError, DataError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray
    from plotly.graph_objects import Figure

RANKED = (
    "rank",
    "strategy",
    "symbol",
    "profit_per_trade",
    "win_rate",
    "sharpe",
    "max_drawdown",
    "trade_count",
    "avg_hold_days",
)
FIGURES = RANKED[3:]
MIN_SESSIONS = 3  # two returns always lie on a line: their correlation is 1 or -1 whatever they are


@dataclass(frozen=True)
class Pick:
    """A diversified choice.

    Attributes
    ----------
    chosen
        Labels in rank order.
    dropped
        Columns name, because_of (the chosen one it resembles most; None when its own curve never moved, or its correlation with
        a chosen one is undefined), correlation (NaN when undefined). Those never looked at, because enough were chosen before
        them, are not listed.
    message
        What was chosen and why not more, in a sentence or two.
    """

    chosen: tuple[str, ...]
    dropped: pd.DataFrame
    message: str


def label(strategy: str, symbol: str) -> str:
    """Name of one strategy on one symbol.

    >>> label("bollinger", "SPY")
    'bollinger@SPY'
    """
    return f"{strategy}@{symbol}"


def rank(results: pd.DataFrame, *, min_trades: int = 1) -> pd.DataFrame:
    """Put backtests in order: profit per trade, then Sharpe, the larger first; then strategy and symbol.

    Parameters
    ----------
    results
        One row a backtest with the columns of `RANKED` (`rank` aside); others are kept, to the right.
    min_trades
        Rows with fewer trades are left out, and so are rows without a trade count: a backtest that failed has none.

    Returns
    -------
    pd.DataFrame
        `RANKED`, rank from 1. Undefined figures (None, NaN, infinite) are NaN and rank last.

    Raises
    ------
    DataError
        When a column is missing or holds no numbers.
    """
    missing = [name for name in RANKED[1:] if name not in results]
    if missing:
        raise DataError(f"rank: expected the columns {', '.join(RANKED[1:])}; found none named {', '.join(missing)}.")
    figures = results[list(FIGURES)].apply(_numbers)
    kept = figures["trade_count"] >= min_trades
    others = [name for name in results if name not in RANKED]
    table = pd.concat([results.loc[kept, ["strategy", "symbol"]], figures[kept], results.loc[kept, others]], axis=1)
    falling = ["profit_per_trade", "sharpe"]
    rest = ["strategy", "symbol", *(name for name in FIGURES if name not in falling)]  # no two different rows tie
    table = table.sort_values(falling + rest, ascending=[False] * 2 + [True] * len(rest), na_position="last", ignore_index=True)
    table.insert(0, "rank", np.arange(1, len(table) + 1))
    return table.astype({"trade_count": np.int64})[[*RANKED, *others]]


def _numbers(column: pd.Series) -> pd.Series:
    try:
        values = pd.to_numeric(column).astype(np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"rank: expected numbers in {column.name}, found something else: {error}.") from error
    return values.where(np.isfinite(values))


def returns_of(equity: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Returns of several equity curves on the sessions that all of them have.

    Only the common span counts: a session before a strategy existed is not a return of zero, it would water every correlation
    down. Where calendars differ (a coin trades on Sundays), a return runs from one shared close to the next.

    Parameters
    ----------
    equity
        Frames with columns session and equity_usd (at each close), by label.

    Returns
    -------
    pd.DataFrame
        Fractions of the close before; one column a label in the order given, one row a shared session but the first, which has
        no close before it.

    Raises
    ------
    DataError
        When there are no curves, a value is not positive, a session comes twice, or fewer than two sessions are shared.
    """
    if not equity:
        raise DataError("Correlation: expected one equity curve or more, found none. Run a sweep first: `desk sweep`.")
    levels = pd.concat({name: _level(name, frame) for name, frame in equity.items()}, axis=1, join="inner").sort_index()
    if len(levels) < 2:  # noqa: PLR2004  # a return needs two closes
        spans = "; ".join(f"{name} {_span(frame)}" for name, frame in equity.items())
        raise DataError(f"Correlation: expected curves that share two sessions or more, found {len(levels)}: {spans}.")
    return levels.pct_change().iloc[1:]


def _level(name: str, frame: pd.DataFrame) -> pd.Series:
    level = frame.set_index("session")["equity_usd"].astype(np.float64)
    if level.index.has_duplicates:
        twice = level.index[level.index.duplicated()][0]
        raise DataError(f"Equity of {name}: expected each session once, found {twice} twice.")
    wrong = level[~(np.isfinite(level) & (level > 0))]
    if len(wrong):
        raise DataError(f"Equity of {name}: expected above 0, found {wrong.iloc[0]} at {wrong.index[0]}. Run it again.")
    return level


def _span(frame: pd.DataFrame) -> str:
    return f"{frame['session'].min()} to {frame['session'].max()}" if len(frame) else "empty"


def correlations(returns: pd.DataFrame) -> pd.DataFrame:
    """Pearson correlation of every pair of columns, as a square frame.

    NaN where it is undefined: a curve that never moved or lacks a return (its own diagonal element included), or fewer than
    three returns. One matrix product instead of a loop over pairs: 1,000 curves of ten years take 0.2 s, pandas' `corr` 5 s.
    """
    values = returns.to_numpy(dtype=np.float64)
    table = np.full((values.shape[1],) * 2, np.nan)
    if len(values) >= MIN_SESSIONS:
        moves = np.isfinite(values).all(axis=0) & (values != values[:1]).any(axis=0)  # a constant has no spread but rounding
        away = values[:, moves] - values[:, moves].mean(axis=0)
        away /= np.sqrt((away**2).sum(axis=0))
        table[np.ix_(moves, moves)] = np.clip(away.T @ away, -1, 1)
        table[moves, moves] = 1.0
    return pd.DataFrame(table, index=returns.columns, columns=returns.columns)


def flagged(correlation: pd.DataFrame, above: float = 0.7) -> pd.DataFrame:
    """Pairs correlated above a limit, each once, the closest first.

    Signed: two curves at -0.9 offset each other and are not flagged. Columns one, other (in the order of the matrix),
    correlation.
    """
    values = correlation.to_numpy(dtype=np.float64)
    one, other = np.triu_indices(len(values), k=1)
    names = correlation.columns.to_numpy()
    pairs = pd.DataFrame({"one": names[one], "other": names[other], "correlation": values[one, other]})
    close = pairs[pairs["correlation"] > above]
    return close.sort_values(["correlation", "one", "other"], ascending=[False, True, True], ignore_index=True)


def diversify(correlation: pd.DataFrame, order: Sequence[str], *, below: float = 0.5, at_most: int = 3) -> Pick:
    """Take the best, then each next best that resembles none taken before.

    Greedy in rank order: a curve is taken when its correlation with every one taken is under `below`. Signed, so that curves
    which offset each other are welcome. One whose correlation is undefined is dropped: that nothing is known of its risk does
    not make it independent.

    Parameters
    ----------
    correlation
        Square, as of `correlations`.
    order
        Labels, best first. A label named twice counts once.

    Raises
    ------
    DataError
        When a label is not in the matrix.
    ConfigError
        When `at_most` is under 1.
    """
    if at_most < 1:
        raise ConfigError(f"at_most: expected 1 or more, found {at_most}.")
    names = list(dict.fromkeys(order))
    _require(correlation, names)
    square = correlation.loc[names, names].to_numpy(dtype=np.float64)  # in rank order from here on
    chosen: list[int] = []
    dropped: list[tuple[str, str | None, float]] = []
    for i, name in enumerate(names):
        if len(chosen) == at_most:
            break
        rival, closest = _closest(square, i, chosen)
        if closest < below:
            chosen.append(i)
        else:
            dropped.append((name, None if rival is None else names[rival], closest))
    table = pd.DataFrame(dropped, columns=["name", "because_of", "correlation"]).astype({"correlation": np.float64})
    message = _message(len(chosen), table, below, at_most)
    return Pick(tuple(names[i] for i in chosen), table, message)


def _require(correlation: pd.DataFrame, names: Sequence[str]) -> None:
    for name in names:
        if name not in correlation.columns:
            near = get_close_matches(name, [str(known) for known in correlation.columns], n=1)
            hint = f" Did you mean {near[0]}?" if near else ""
            raise DataError(f"Diversification: expected a correlation for each of the order, found none of {name!r}.{hint}")


def _closest(square: NDArray[np.float64], i: int, chosen: Sequence[int]) -> tuple[int | None, float]:
    """The chosen one that `i` resembles most, and how much: -inf beside none, NaN when any of it is undefined."""
    if not np.isfinite(square[i, i]):
        return None, np.nan
    if not chosen:
        return None, -np.inf
    beside = square[i, list(chosen)]
    if not np.isfinite(beside).all():
        return None, np.nan
    most = int(beside.argmax())
    return chosen[most], float(beside[most])


def _message(chosen: int, dropped: pd.DataFrame, below: float, at_most: int) -> str:
    looked_at = chosen + len(dropped)
    if chosen == at_most:
        return f"{at_most} chosen from the best {looked_at}, every pair correlated under {below:g}."
    unknown = int(dropped["correlation"].isna().sum())
    reasons = [f"{len(dropped) - unknown} too close to a better one"] if len(dropped) > unknown else []
    reasons += [f"{unknown} with an undefined correlation"] if unknown else []
    why = ": " + ", ".join(reasons) if reasons else ""
    smaller = "The portfolio is smaller." if chosen else "There is no portfolio."
    return (
        f"{chosen} of the {at_most} asked for: of {looked_at} looked at, no more are correlated under {below:g}{why}. {smaller}"
    )


def heat_map(correlation: pd.DataFrame) -> Figure:
    """The matrix as a Plotly figure: blue offsets, white is unrelated, red moves together. Undefined cells are left blank."""
    from plotly.graph_objects import Figure, Heatmap

    names = [str(name) for name in correlation.columns]
    values = correlation.to_numpy(dtype=np.float64)
    shown = [["" if np.isnan(value) else f"{value:.2f}" for value in row] for row in values]
    cells = Heatmap(
        z=values,
        x=names,
        y=names,
        text=shown,
        texttemplate="%{text}",
        hovertemplate="%{y}<br>%{x}<br>correlation %{z:.3f}<extra></extra>",
        hoverongaps=False,
        colorscale="RdBu_r",
        zmin=-1,
        zmid=0,
        zmax=1,
        xgap=1,
        ygap=1,
        colorbar={"title": "Correlation"},
    )
    side = max(480, 180 + 44 * len(names))  # a cell keeps room for its number
    figure = Figure(cells)
    figure.update_layout(
        title="Correlation of daily returns",
        width=side + 120,
        height=side,
        template="plotly_white",
        xaxis={"tickangle": -45, "automargin": True, "constrain": "domain", "showgrid": False},
        yaxis={"autorange": "reversed", "automargin": True, "showgrid": False},
    )
    return figure
