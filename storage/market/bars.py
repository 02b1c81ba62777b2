"""Store bars, corporate actions, validation runs and quarantined rows, point-in-time.

Bars are bitemporal: a revised bar is a new row. Reading `as_of` a moment gives, for each bar, the version last written among
those known by then.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import distinct_on, insert

from core.frames import ACTIONS, BARS, INSTANT, PRICES, QUARANTINE, SESSION
from core.sessions import calendar_name, closes_of
from storage.engine import copy_in, records
from storage.market.tables import corporate_actions, normalized_prices, quarantine, raw_prices, validation_runs

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

VALUES = (*PRICES, "adj_close", "volume")
INCOMING = ("symbol", "timeframe", "ts", "ingested_at", "known_at", *VALUES, "source", "backfilled")
# Vendors send single-precision prices: a smaller relative difference is rounding, not a revision.
SAME_WITHIN = 1e-6
PLACE = frozenset({"file", "line", "row"})  # of a refused row: where it stood, which moves
PUBLICATION_LAG = dt.timedelta(minutes=15)
historical_prices = sa.table("historical_prices", schema="research")  # a view: the newest version of each bar
NORMALIZED = tuple(normalized_prices.c.keys())


@dataclass(frozen=True)
class WriteResult:
    """Counts of bars that were new, revised or unchanged."""

    new: int
    revised: int
    unchanged: int

    def __add__(self, other: WriteResult) -> WriteResult:
        return WriteResult(self.new + other.new, self.revised + other.revised, self.unchanged + other.unchanged)


class StoredCounts(NamedTuple):
    """Numbers of daily bars (revisions not counted), symbols with bars, and quarantined rows."""

    bars: int
    symbols: int
    quarantined: int


class BarStore:
    """Bars in `market.raw_prices`. Each write is one transaction: a killed load leaves nothing of itself."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def write(
        self,
        bars: pd.DataFrame,
        *,
        source: str,
        ingested_at: dt.datetime,
        backfilled: bool = False,
        publication_lag: dt.timedelta = PUBLICATION_LAG,
        timeframe: str = "1d",
    ) -> WriteResult:
        """Add bars that are new or differ from the version last written.

        Parameters
        ----------
        bars
            BARS.
        ingested_at
            The present moment (aware, UTC).
        backfilled
            True when nobody could watch the bars arrive: they count as known at their close plus `publication_lag`. Other
            bars, and every revision, count as known from `ingested_at`.
        """
        if bars.empty:
            return WriteResult(0, 0, 0)
        BARS.check(bars)
        frame = _versions(bars, source, ingested_at, backfilled=backfilled, lag=publication_lag, timeframe=timeframe)
        with self._engine.begin() as connection:
            connection.execute(sa.text("LOCK TABLE market.raw_prices IN SHARE ROW EXCLUSIVE MODE"))  # one writer at a time
            connection.execute(sa.text("CREATE TEMP TABLE incoming (LIKE market.raw_prices) ON COMMIT DROP"))
            copy_in(connection, frame, "incoming", INCOMING)
            connection.execute(sa.text("ANALYZE incoming"))
            revised = connection.execute(_insert_revisions()).rowcount
            new = connection.execute(_insert_new()).rowcount
        return WriteResult(new, revised, len(frame) - new - revised)

    def read(
        self,
        symbols: Sequence[str] | None = None,
        start: dt.date | None = None,
        end: dt.date | None = None,
        as_of: dt.datetime | None = None,
        *,
        timeframe: str = "1d",
        stored_by: dt.datetime | None = None,
    ) -> pd.DataFrame:
        """Return BARS and the column known_at (UTC), newest version of each bar, both dates included.

        Parameters
        ----------
        symbols
            None reads all.
        as_of
            Read what was known at that moment (aware); None reads everything.
        stored_by
            Leave out versions written after that moment (aware): a later backfill counts as known at its close.
        """
        table = raw_prices.c
        query = (
            sa.select(table.symbol, table.ts, *(table[name] for name in VALUES), table.known_at)
            .ext(distinct_on(table.symbol, table.ts))
            .where(table.timeframe == timeframe)
            .order_by(table.symbol, table.ts, table.ingested_at.desc())
        )
        if symbols is not None:
            query = query.where(table.symbol.in_(list(symbols)))
        if start is not None:
            query = query.where(table.ts >= _midnight(start))
        if end is not None:
            query = query.where(table.ts < _midnight(end) + dt.timedelta(days=1))
        for column, moment in ((table.known_at, as_of), (table.ingested_at, stored_by)):
            query = query if moment is None else query.where(column <= moment)
        frame = self._frame(query)
        stored = pd.DataFrame(
            {
                "symbol": frame["symbol"].astype(object),
                "session": pd.to_datetime(frame["ts"], utc=True).dt.tz_localize(None).astype(SESSION),
                **{name: frame[name].astype("float64") for name in VALUES},
                "known_at": pd.to_datetime(frame["known_at"], utc=True).astype(INSTANT),
            }
        )
        return stored.sort_values(["symbol", "session"], kind="stable", ignore_index=True)  # no collation is Python's order

    def versions(self, symbols: Sequence[str] | None = None, end: dt.date | None = None) -> pd.DataFrame:
        """Return every version of every daily bar: BARS with known_at and ingested_at (UTC), by symbol, session, ingested_at.

        What was known at a moment is, of each bar, the last version whose known_at is not after it.
        """
        table = raw_prices.c
        query = sa.select(table.symbol, table.ts, *(table[name] for name in VALUES), table.known_at, table.ingested_at)
        query = query.where(table.timeframe == "1d")
        if symbols is not None:
            query = query.where(table.symbol.in_(list(symbols)))
        if end is not None:
            query = query.where(table.ts < _midnight(end) + dt.timedelta(days=1))
        frame = self._frame(query)
        stored = pd.DataFrame(
            {
                "symbol": frame["symbol"].astype(object),
                "session": pd.to_datetime(frame["ts"], utc=True).dt.tz_localize(None).astype(SESSION),
                **{name: frame[name].astype("float64") for name in VALUES},
                **{name: pd.to_datetime(frame[name], utc=True).astype(INSTANT) for name in ("known_at", "ingested_at")},
            }
        )
        return stored.sort_values(["symbol", "session", "ingested_at"], kind="stable", ignore_index=True)

    def symbols(self) -> list[str]:
        """Return the symbols with bars, sorted."""
        return sorted(self._frame(sa.select(raw_prices.c.symbol).distinct())["symbol"])

    def counts(self) -> StoredCounts:
        """Return the numbers of bars, symbols and quarantined rows."""
        table = raw_prices.c
        bars = sa.select(table.symbol, table.ts).where(table.timeframe == "1d").distinct().subquery()
        counts = (
            sa.select(sa.func.count()).select_from(bars),
            sa.select(sa.func.count(sa.distinct(table.symbol))),
            sa.select(sa.func.count()).select_from(quarantine),
        )
        with self._engine.connect() as connection:
            return StoredCounts(*connection.execute(sa.select(*(each.scalar_subquery() for each in counts))).one())

    def last_sessions(self) -> dict[str, dt.date]:
        """Return the newest stored session of each symbol."""
        query = sa.select(raw_prices.c.symbol, sa.func.max(raw_prices.c.ts)).group_by(raw_prices.c.symbol)
        with self._engine.connect() as connection:
            return {symbol: newest.astimezone(dt.UTC).date() for symbol, newest in connection.execute(query)}

    def last_closes(
        self, symbols: Collection[str], day: dt.date, as_of: dt.datetime | None = None
    ) -> dict[str, tuple[dt.date, float]]:
        """Return the newest close of each symbol at or before a day, however old, with its session.

        Parameters
        ----------
        as_of
            As for `read`.
        """
        if not symbols:
            return {}
        table = raw_prices.c
        names = sa.values(sa.column("symbol", sa.Text), name="names").data([(symbol,) for symbol in symbols])
        bars = (
            sa.select(table.ts, table.close)
            .where(table.symbol == names.c.symbol, table.timeframe == "1d", table.ts < _midnight(day) + dt.timedelta(days=1))
            .order_by(table.ts.desc(), table.ingested_at.desc())
            .limit(1)
        )
        newest = (bars if as_of is None else bars.where(table.known_at <= as_of)).lateral("newest")
        query = sa.select(names.c.symbol, newest.c.ts, newest.c.close).select_from(names.join(newest, sa.true()))
        with self._engine.connect() as connection:
            return {symbol: (ts.astimezone(dt.UTC).date(), float(close)) for symbol, ts, close in connection.execute(query)}

    def write_actions(self, actions: pd.DataFrame, recorded_at: dt.datetime) -> int:
        """Add splits and dividends (ACTIONS) that are new or whose value changed; returns how many were added."""
        stored = self.actions().set_index(list(ACTIONS.key))["value"].to_dict()
        rows = [
            {**row, "session": row["session"].date(), "recorded_at": recorded_at}
            for row in records(ACTIONS.check(actions))
            if not np.isclose(stored.get((row["symbol"], row["session"], row["kind"]), np.nan), row["value"], rtol=SAME_WITHIN)
        ]
        if rows:
            with self._engine.begin() as connection:
                connection.execute(insert(corporate_actions).on_conflict_do_nothing(), rows)
        return len(rows)

    def actions(self, symbols: Sequence[str] | None = None, as_of: dt.datetime | None = None) -> pd.DataFrame:
        """Return ACTIONS, each with the value last recorded, by the moment `as_of` (aware) if given."""
        table = corporate_actions.c
        query = (
            sa.select(table.symbol, table.session, table.kind, table.value)
            .ext(distinct_on(table.symbol, table.session, table.kind))
            .order_by(table.symbol, table.session, table.kind, table.recorded_at.desc())
        )
        if symbols is not None:
            query = query.where(table.symbol.in_(list(symbols)))
        return ACTIONS.coerce(self._frame(query if as_of is None else query.where(table.recorded_at <= as_of)))

    def write_validation_run(self, results: dict[str, Any], *, session: dt.date, passed: bool) -> int:
        """Store the results of one validation and return its id."""
        clean = json.loads(json.dumps(results, default=str).replace("NaN", "null"))
        query = sa.insert(validation_runs).values(session=session, passed=passed, results=clean).returning(validation_runs.c.id)
        with self._engine.begin() as connection:
            return int(connection.execute(query).scalar_one())

    def validation_results(self, session: dt.date) -> list[dict[str, Any]]:
        """Return the results of a session's validations, the newest of each batch of symbols, oldest first."""
        query = sa.select(validation_runs.c.results).where(validation_runs.c.session == session).order_by(validation_runs.c.id)
        with self._engine.connect() as connection:
            runs = connection.execute(query).scalars().all()
        return list({tuple(results["symbols"]): results for results in runs}.values())

    def write_quarantine(self, frame: pd.DataFrame, validation_run_id: int) -> int:
        """Store refused rows (QUARANTINE), each once for the same reason; returns how many were new."""
        rows = [
            {
                "validation_run_id": validation_run_id,
                "symbol": row["symbol"],
                "session": row["session"] and row["session"].date(),
                "reason": row["reason"],
                "detail": row["detail"],
                "payload": _stored_payload(row["payload"]),
                "digest": _digest(row),
            }
            for row in records(frame)
        ]
        if not rows:
            return 0
        query = insert(quarantine).on_conflict_do_nothing().returning(quarantine.c.id)
        with self._engine.begin() as connection:
            return len(connection.execute(query, rows).all())

    def quarantine(self, symbols: Sequence[str] | None = None, known_at: dt.date | None = None) -> pd.DataFrame:
        """Return QUARANTINE: the rows ever refused.

        Parameters
        ----------
        symbols
            None reads all.
        known_at
            Only rows of a batch that was loaded, or of an earlier session: a batch that is judged again is judged alike.
        """
        columns = [quarantine.c[name] for name in QUARANTINE.columns]
        query = sa.select(*columns).order_by(quarantine.c.symbol, quarantine.c.session, quarantine.c.reason)
        if symbols is not None:
            query = query.where(quarantine.c.symbol.in_(list(symbols)))
        if known_at is not None:
            query = query.join(validation_runs).where(sa.or_(validation_runs.c.passed, validation_runs.c.session < known_at))
        frame = self._frame(query)
        frame["payload"] = frame["payload"].map(json.dumps)
        return frame.astype(dict(QUARANTINE.columns))

    def write_normalized(self, frame: pd.DataFrame) -> int:
        """Bring `market.normalized_prices` (its columns, `session` tz-naive) up to date; returns the rows added or changed."""
        if frame.empty:
            return 0
        with self._engine.begin() as connection:
            connection.execute(sa.text("CREATE TEMP TABLE incoming (LIKE market.normalized_prices) ON COMMIT DROP"))
            copy_in(connection, frame, "incoming", NORMALIZED)
            incoming = sa.table("incoming", *(sa.column(name, normalized_prices.c[name].type) for name in NORMALIZED))
            query = insert(normalized_prices).from_select(list(NORMALIZED), sa.select(incoming))
            measures = [name for name in NORMALIZED if name not in {"symbol", "session"}]
            changed = sa.or_(*(normalized_prices.c[name].is_distinct_from(query.excluded[name]) for name in measures))
            upsert = query.on_conflict_do_update(
                index_elements=["symbol", "session"], set_={name: query.excluded[name] for name in measures}, where=changed
            )
            return int(connection.execute(upsert).rowcount)

    def _frame(self, query: sa.Select[Any]) -> pd.DataFrame:
        with self._engine.connect() as connection:
            rows = connection.execute(query)
            return pd.DataFrame(rows.all(), columns=list(rows.keys()))


def _stored_payload(text: str) -> Any:  # noqa: ANN401 - JSON
    """Return a payload as the database can hold it: a number that is none is null, a zero byte a question mark."""
    return json.loads(text.replace("\\u0000", "?"), parse_constant=lambda _: None)


def _digest(row: dict[str, Any]) -> str:
    """Return what makes a refused row the same as before: what it said and why, wherever in its file it stands by now."""
    payload = json.loads(row["payload"])
    rows = payload if isinstance(payload, list) else [payload]
    said = [{name: value for name, value in each.items() if name not in PLACE} for each in rows]
    text = row["payload"] if said == rows else json.dumps(said, sort_keys=True)
    return hashlib.sha256(f"{row['symbol']}|{row['session']}|{row['reason']}|{text}".encode()).hexdigest()


def _midnight(day: dt.date) -> dt.datetime:
    return dt.datetime.combine(day, dt.time(), dt.UTC)


def _versions(
    bars: pd.DataFrame, source: str, ingested_at: dt.datetime, *, backfilled: bool, lag: dt.timedelta, timeframe: str
) -> pd.DataFrame:
    """Add what the store keeps beside the prices."""
    moment = pd.Timestamp(ingested_at).tz_convert("UTC")
    known_at = pd.Series(moment, index=bars.index, dtype=INSTANT)
    if backfilled:
        for name, part in bars.groupby(bars["symbol"].map(calendar_name)):
            known_at[part.index] = closes_of(pd.DatetimeIndex(part["session"]), str(name)) + lag
    return bars.assign(
        timeframe=timeframe,
        ts=bars["session"].dt.tz_localize("UTC"),
        ingested_at=pd.Series(moment, index=bars.index, dtype=INSTANT),
        known_at=known_at,
        source=source,
        backfilled=backfilled,
    )


_incoming = sa.table("incoming", *(sa.column(name, raw_prices.c[name].type) for name in INCOMING))
_TICK: sa.ColumnElement[Any] = sa.literal_column("interval '1 microsecond'")


def _newest() -> sa.Subquery:
    """The version last written of each bar of the incoming symbols."""
    table = raw_prices.c
    return (
        sa.select(raw_prices)
        .where(table.symbol.in_(sa.select(_incoming.c.symbol).distinct()))
        .ext(distinct_on(table.symbol, table.timeframe, table.ts))
        .order_by(table.symbol, table.timeframe, table.ts, table.ingested_at.desc())
        .subquery("newest")
    )


def _same_bar(newest: sa.Subquery) -> sa.ColumnElement[bool]:
    return sa.and_(*(_incoming.c[name] == newest.c[name] for name in ("symbol", "timeframe", "ts")))


def _insert_new() -> sa.Insert:
    """Bars never seen, as they are."""
    newest = _newest()
    unseen = sa.select(*(_incoming.c[name] for name in INCOMING)).where(~sa.exists().where(_same_bar(newest)))
    return sa.insert(raw_prices).from_select(list(INCOMING), unseen)


def _insert_revisions() -> sa.Insert:
    """Bars seen with other values: watched by us, hence known from now on and later than the version they replace."""
    newest = _newest()
    moment = sa.func.greatest(_incoming.c.ingested_at, newest.c.ingested_at + _TICK)
    values = {
        **{name: _incoming.c[name] for name in INCOMING},
        "ingested_at": moment,
        "known_at": _incoming.c.ingested_at,
        "backfilled": sa.false(),
    }
    changed = (
        sa.select(*(values[name].label(name) for name in INCOMING))
        .select_from(_incoming.join(newest, _same_bar(newest)))
        .where(sa.or_(*(_differs(_incoming.c[name], newest.c[name]) for name in VALUES)))
    )
    return sa.insert(raw_prices).from_select(list(INCOMING), changed)


def _differs(new: sa.ColumnElement[Any], old: sa.ColumnElement[Any]) -> sa.ColumnElement[bool]:
    return sa.func.abs(new - old) > SAME_WITHIN * sa.func.greatest(sa.func.abs(old), sa.func.abs(new))
