"""Load bars and VIX into the store: fetch, validate, quarantine, write."""

from __future__ import annotations

import datetime as dt
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import structlog

from core.deployments import State
from core.errors import DataError
from core.sessions import calendar_name, sessions_between
from pipeline.bars import VIX
from pipeline.resources import Resources, live

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    import pandas as pd

    from ingestion.expectations import Validation
    from ingestion.providers.base import Download, Provider
    from monitoring.alerts import Alerts
    from storage.market.bars import BarStore, WriteResult
    from storage.market.instruments import InstrumentStore

log = structlog.get_logger()
CONTEXT_DAYS = 120
MIN_HISTORY = 60  # sessions until the slowest feature has warmed up
OVERLAP_SESSIONS = 10  # re-read this many stored sessions, so that a provider's revision is seen


@dataclass(frozen=True)
class LoadResult:
    """Counts of bars of one load (`quarantined`: rows that were not before), and the symbols that failed with their reason."""

    session: str
    fetched: int
    new: int
    revised: int
    unchanged: int
    quarantined: int
    failed: Mapping[str, str]

    def as_dict(self) -> dict[str, Any]:
        """Return the result as JSON values."""
        return asdict(self)


@dataclass(frozen=True)
class Loader:
    """Load the bars of some symbols from a provider into the store.

    Attributes
    ----------
    history_start
        First day of a load of all history.
    historical
        True when the provider is a finished history: its bars count as known at their close.
    max_bad_fraction
        Fraction (0 to 1) of bad rows above which a batch is rejected.
    jump_fail_bps
        Move of a close from one session to the next above which a bar is bad.
    docs_dir
        Folder of the data docs.
    """

    provider: Provider
    bars: BarStore
    instruments: InstrumentStore
    alerts: Alerts
    clock: Callable[[], dt.datetime]
    history_start: dt.date
    historical: bool
    max_bad_fraction: float
    jump_fail_bps: float
    docs_dir: Path

    def load(self, session: str, symbols: Sequence[str], *, full_history: bool) -> LoadResult:
        """Fetch, validate and write the bars up to a session."""
        from ingestion.jumps import rescaled_symbols

        day = dt.date.fromisoformat(session)
        start = self.history_start if full_history else self._resume_from(symbols, day)
        download = self._fetch(symbols, start, day)
        context = self._stored_context(symbols, day)
        rescaled = [] if full_history else rescaled_symbols(download.bars, context)
        if rescaled:
            log.warning("history_rescaled", session=session, symbols=rescaled, remedy="the whole history is loaded again")
            return self.load(session, symbols, full_history=True)
        checked, quarantined = self._validate(download, context, symbols, day)
        written = self._write(checked.good, watched=set() if full_history else set(context["symbol"]))
        self.bars.write_actions(download.actions, self.clock())
        for symbol, fields in download.instruments.items():
            self.instruments.record(symbol, fields, source=self.provider.name, recorded_at=self.clock())
        return LoadResult(
            session=session,
            fetched=len(download.bars),
            new=written.new,
            revised=written.revised,
            unchanged=written.unchanged,
            quarantined=quarantined,
            failed=dict(download.failed),
        )

    def _fetch(self, symbols: Sequence[str], start: dt.date, day: dt.date) -> Download:
        """Return what the provider delivers; mail the symbols that failed, and refuse an empty answer."""
        download = _daily_only(self.provider.fetch(list(symbols), start, day))
        if download.failed:
            log.warning("symbols_failed", session=day.isoformat(), failed=download.failed)
            self.alerts.send(f"Bars missing for {day}", "\n".join(f"{s}: {why}" for s, why in download.failed.items()))
        if download.bars.empty:
            raise DataError(f"{day}: no bars for {list(symbols)}: {download.failed}. Check the symbols and the provider.")
        return download

    def _validate(
        self, download: Download, context: pd.DataFrame, symbols: Sequence[str], day: dt.date
    ) -> tuple[Validation, int]:
        """Validate the bars and record the outcome; mail and raise `BatchRejected` when too many new bars are bad.

        Returns
        -------
        The verdict, and how many refused rows the quarantine did not hold yet.
        """
        from ingestion.data_docs import build_data_docs
        from ingestion.expectations import validate

        checked = validate(
            download.bars,
            session=day,
            actions=download.actions,
            context=context,
            expected_symbols=tuple(symbols),
            stored=self.bars.read(list(symbols), start=_first(download.bars), end=day),
            known_bad=self.bars.quarantine(symbols, known_at=day),
            origins=download.origins,
            max_bad_fraction=self.max_bad_fraction,
            jump_fail_bps=self.jump_fail_bps,
            min_history=MIN_HISTORY,
        )
        run_id = self.bars.write_validation_run(checked.results, session=day, passed=checked.passed)
        quarantined = self.bars.write_quarantine(checked.quarantined, run_id)
        build_data_docs(self.bars.validation_results(day), self.docs_dir)
        if not checked.passed:
            self.alerts.send(f"Bars for {day} rejected", checked.summary())
            checked.require()
        if not self.historical and any(checked.results[kind] for kind in ("missing", "stale", "short", "spacing")):
            self.alerts.send(f"Bars for {checked.results['session']} are loaded and need a look", checked.summary())
        return checked, quarantined

    def _write(self, bars: pd.DataFrame, watched: set[str]) -> WriteResult:
        """Write the bars; those of a finished history, or of a symbol whose arrival nobody watched, count as backfilled."""
        arrived = bars["symbol"].isin(watched) & (not self.historical)
        parts = [
            self.bars.write(
                bars[rows].reset_index(drop=True),
                source=self.provider.name,
                ingested_at=self.clock(),
                backfilled=backfilled,
            )
            for rows, backfilled in ((arrived, False), (~arrived, True))
        ]
        return parts[0] + parts[1]

    def _stored_context(self, symbols: Sequence[str], day: dt.date) -> pd.DataFrame:
        """Return the stored bars just before the batch, against which the jump of its first bar is measured."""
        return self.bars.read(list(symbols), start=day - dt.timedelta(days=CONTEXT_DAYS), end=day)

    def _resume_from(self, symbols: Sequence[str], day: dt.date) -> dt.date:
        """Return a day some sessions before the newest bar of the symbol that lags most; all history when one has none."""
        stored = self.bars.last_sessions()
        if any(symbol not in stored for symbol in symbols):
            return self.history_start
        oldest = min(min(stored[symbol], day) for symbol in symbols)
        window = sessions_between(oldest - dt.timedelta(days=3 * OVERLAP_SESSIONS), oldest, calendar_name(symbols[0]))
        first: dt.date = window[-OVERLAP_SESSIONS:][0].date()
        return first


def _daily_only(download: Download) -> Download:
    """Return the download without the symbols whose bars are certainly not daily: they have failed, with what was found."""
    from ingestion.bar_size import long_bars_by_symbol

    longer = {symbol: str(size) for symbol, size in long_bars_by_symbol(download.bars).items() if size.certain}
    if not longer:
        return download
    return download.without(longer)


def _first(bars: pd.DataFrame) -> dt.date | None:
    first: dt.date | None = bars["session"].min().date() if bars["session"].notna().any() else None
    return first


def list_symbols(session: str, *, resources: Resources | None = None) -> list[str]:
    """Return the symbols to load for the session: the universe, then what deployments trade and what is held outside of it."""
    del session  # the universe does not change with time yet
    resources = resources or live()
    symbols, deployments = resources.universe(), resources.deployments.all()
    books = {resources.settings.portfolio, *(each.name for each in deployments)}
    needed = {position.symbol for book in books for position in resources.ledger.positions(book)}
    needed |= {symbol for each in deployments if each.state is not State.RETIRED for symbol in each.symbols}
    return [*symbols, *sorted(needed - {*symbols})]


def files_left_out(*, resources: Resources | None = None) -> dict[str, str]:
    """Return the files of the folder that hold no daily bars, with the reason of each; none with another provider."""
    from ingestion.providers.files import FilesProvider

    provider = (resources or live()).provider
    return dict(provider.ignored) if isinstance(provider, FilesProvider) else {}


def fetch_vix(session: str, *, full_history: bool = False, resources: Resources | None = None) -> LoadResult:
    """Load VIX up to the session."""
    return fetch_symbols(session, [VIX], full_history=full_history, resources=resources)


def fetch_symbols(
    session: str, symbols: Sequence[str], *, full_history: bool = False, resources: Resources | None = None
) -> LoadResult:
    """Fetch, validate and load bars of `symbols` up to `session`; idempotent.

    Bad rows go to `market.quarantine`; good rows are loaded.

    Raises
    ------
    BatchRejected
        After an alert, when more than `max_bad_fraction` of the new bars are bad.
    DataError
        When no symbol could be fetched at all.
    """
    from ingestion.normalise import symbol_name

    resources = resources or live()
    settings = resources.settings
    loader = Loader(
        provider=resources.provider,
        bars=resources.bars,
        instruments=resources.instruments,
        alerts=resources.alerts,
        clock=resources.clock,
        history_start=dt.date.fromisoformat(settings.ingestion.history_start),
        historical=resources.historical,
        max_bad_fraction=settings.ingestion.max_bad_fraction,
        jump_fail_bps=settings.ingestion.jump_fail_bps,
        docs_dir=resources.data_dir / "data_docs",
    )
    return loader.load(session, [symbol_name(symbol) for symbol in symbols], full_history=full_history)
