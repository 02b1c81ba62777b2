"""Bars and VIX into the store: fetch, validate, quarantine, load. Owns the order of these; each part does its own work."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import structlog

from core.errors import DataError
from core.sessions import calendar_name, sessions_between
from pipeline.bars import VIX
from pipeline.resources import Resources, live

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from ingestion.expectations import Validation
    from storage.market.bars import WriteResult

log = structlog.get_logger()
CONTEXT_DAYS = 120
MIN_HISTORY = 60  # sessions until the slowest feature has warmed up
OVERLAP_SESSIONS = 10  # re-read this many stored sessions, so that a provider's revision is seen


def universe(session: str, resources: Resources | None = None) -> list[str]:
    """Symbols to load for the session."""
    del session  # the universe does not change with time yet
    return (resources or live()).universe()


def fetch_vix(session: str, *, full_history: bool = False, resources: Resources | None = None) -> dict[str, Any]:
    """Load VIX up to the session."""
    return fetch_symbols(session, [VIX], full_history=full_history, resources=resources)


def fetch_symbols(
    session: str, symbols: Sequence[str], *, full_history: bool = False, resources: Resources | None = None
) -> dict[str, Any]:
    """Fetch, validate and load bars of `symbols` up to `session`; idempotent.

    Bad rows go to `market.quarantine`; good rows go on. Raises `BatchRejected` (after an alert) when more than
    `max_bad_fraction` of the rows are bad, and `DataError` when no symbol could be fetched at all.

    Returns
    -------
    dict
        Counts: fetched, new, revised, unchanged, quarantined, and the symbols that failed with their reason.
    """
    from ingestion.data_docs import build_data_docs
    from ingestion.expectations import validate
    from ingestion.jumps import rescaled_symbols

    resources = resources or live()
    day = dt.date.fromisoformat(session)
    start = dt.date.fromisoformat(resources.settings.history_start) if full_history else _resume_from(resources, symbols, day)
    download = resources.provider.fetch(list(symbols), start, day)
    if download.failed:
        log.warning("symbols_failed", session=session, failed=download.failed)
        resources.alerts.send(f"Bars missing for {session}", "\n".join(f"{s}: {why}" for s, why in download.failed.items()))
    if download.bars.empty:
        raise DataError(f"{session}: no bars for {list(symbols)}: {download.failed}. Check the symbols and the provider.")

    context = _stored_context(resources, symbols, day)
    rescaled = [] if full_history else rescaled_symbols(download.bars, context)
    if rescaled:
        log.warning("history_rescaled", session=session, symbols=rescaled, remedy="the whole history is loaded again")
        return fetch_symbols(session, symbols, full_history=True, resources=resources)
    checked = validate(
        download.bars,
        session=day,
        actions=download.actions,
        context=context,
        expected_symbols=tuple(symbols),
        max_bad_fraction=resources.settings.max_bad_fraction,
        jump_fail_bps=resources.settings.jump_fail_bps,
        min_history=MIN_HISTORY,
    )
    run_id = resources.bars.write_validation_run(checked.results, session=day, passed=checked.passed)
    resources.bars.write_quarantine(checked.quarantined, run_id)
    build_data_docs(resources.bars.validation_results(day), resources.data_dir / "data_docs")
    if not checked.passed:
        resources.alerts.send(f"Bars for {session} rejected", checked.summary())
        checked.require()
    _warn(resources, checked)
    written = _store(resources, checked.good, known=set(context["symbol"]) if not full_history else set())
    resources.bars.write_actions(download.actions, resources.clock())
    return {
        "session": session,
        "fetched": len(download.bars),
        "new": written.new,
        "revised": written.revised,
        "unchanged": written.unchanged,
        "quarantined": len(checked.quarantined),
        "failed": dict(download.failed),
    }


def _store(resources: Resources, bars: pd.DataFrame, known: set[str]) -> WriteResult:
    """Write the bars; those of a finished history, or of a symbol whose arrival nobody watched, count as backfilled."""
    watched = bars["symbol"].isin(known) & (not resources.historical)
    parts = [
        resources.bars.write(
            bars[rows].reset_index(drop=True),
            source=resources.provider.name,
            ingested_at=resources.clock(),
            backfilled=backfilled,
        )
        for rows, backfilled in ((watched, False), (~watched, True))
    ]
    return parts[0] + parts[1]


def _warn(resources: Resources, checked: Validation) -> None:
    """Mail what does not stop the load and yet needs a look: symbols missing, stale or short of history."""
    if not resources.historical and any(checked.results[kind] for kind in ("missing", "stale", "short")):
        resources.alerts.send(f"Bars for {checked.results['session']} are loaded and need a look", checked.summary())


def _stored_context(resources: Resources, symbols: Sequence[str], day: dt.date) -> pd.DataFrame:
    """The stored bars just before the batch, against which a first bar's jump is judged."""
    start = day - dt.timedelta(days=CONTEXT_DAYS)
    return resources.bars.read(list(symbols), start=start, end=day)


def _resume_from(resources: Resources, symbols: Sequence[str], day: dt.date) -> dt.date:
    """Some sessions before the newest stored bar of the symbol that lags most; all history when one has none."""
    stored = resources.bars.last_sessions()
    if any(symbol not in stored for symbol in symbols):
        return dt.date.fromisoformat(resources.settings.history_start)
    oldest = min(min(stored[symbol], day) for symbol in symbols)
    window = sessions_between(oldest - dt.timedelta(days=3 * OVERLAP_SESSIONS), oldest, calendar_name(symbols[0]))
    first: dt.date = window[-OVERLAP_SESSIONS:][0].date()
    return first
