"""Validate a batch of bars: the rows to load, and the rows to quarantine with the reason.

The checks are Great Expectations suites (`ingestion.suites`), run in memory: no telemetry, no files, no network.
"""

from __future__ import annotations

import json
import threading
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import great_expectations as gx
import pandas as pd
from great_expectations.data_context.types.base import ProgressBarsConfig
from great_expectations.expectations.metadata_types import FailureSeverity

from core.errors import BatchRejected, DataError
from core.frames import BARS
from ingestion.quarantine import Reason, count_new, describe, quarantine_rows
from ingestion.suites import NO_ACTIONS, coverage, coverage_suite, row_suite, with_row_checks

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Sequence

    from great_expectations.core import ExpectationSuiteValidationResult, ExpectationValidationResult
    from great_expectations.expectations.expectation_configuration import ExpectationConfiguration

    from ingestion.providers.base import Origin, Origins

_BULKY = ("unexpected_list", "unexpected_index_list", "unexpected_index_query")
_one_at_a_time = threading.Lock()  # Great Expectations keeps its current context in a global


@dataclass(frozen=True)
class Validation:
    """The verdict on a batch.

    Attributes
    ----------
    good
        Rows that hold every critical expectation, a valid `core.frames.BARS` frame.
    quarantined
        One row a refused row and reason, a valid `core.frames.QUARANTINE` frame.
    results
        JSON-able account for `market.validation_runs` and the Data Docs: counts, reasons, missing sessions, stale symbols,
        large moves, those that the next close gave back, and under `suites` what Great Expectations says.
    bad_fraction
        Bad bars by new bars, as `ingestion.quarantine.count_new` counts them.
    max_bad_fraction
        The most that may be refused.
    """

    good: pd.DataFrame
    quarantined: pd.DataFrame
    results: dict[str, Any]
    bad_fraction: float
    max_bad_fraction: float

    @property
    def passed(self) -> bool:
        """True when the good rows may be loaded: there are some, the schema holds and few enough rows are bad."""
        return bool(not self.good.empty and self.results["schema_ok"] and self.bad_fraction <= self.max_bad_fraction)

    def require(self) -> Validation:
        """Return self, or raise `BatchRejected` that names the reasons."""
        if not self.passed:
            raise BatchRejected(f"{self.summary()} See the Data Docs: `desk open data-docs`.")
        return self

    def summary(self) -> str:
        """Return one paragraph for a log line or an alert."""
        results = self.results
        text = (
            f"{results['session']}: {results['bad_rows']} of {results['rows']} rows refused; {results['new_bad_bars']} of "
            f"{results['new_bars']} new bars are bad ({self.bad_fraction:.1%} of {results['judged_over']}, at most "
            f"{self.max_bad_fraction:.1%} allowed)."
        )
        for title in ("reasons", "stale", "missing", "short", "spacing"):
            if results[title]:
                text += f" {title.capitalize()}: {results[title]}."
        return text


def validate(
    bars: pd.DataFrame,
    *,
    session: dt.date,
    actions: pd.DataFrame | None = None,
    context: pd.DataFrame | None = None,
    expected_symbols: Sequence[str] = (),
    stored: pd.DataFrame | None = None,
    known_bad: pd.DataFrame | None = None,
    origins: Origins | None = None,
    max_bad_fraction: float = 0.05,
    jump_fail_bps: float = 1500.0,
    min_history: int = 1,
) -> Validation:
    """Judge a batch of bars.

    Parameters
    ----------
    bars
        Columns and dtypes of `core.frames.BARS`; missing values and duplicates are expected to occur.
    session
        The newest session that may be in the batch.
    actions
        Splits and dividends of the download: a jump over a recorded split is explained.
    context
        Stored bars before the batch. They are not judged, but moves, gaps and history are measured against them.
    expected_symbols
        Symbols that were asked for: one without bars is reported.
    stored, known_bad
        Bars (symbol, session) that are stored, and rows (QUARANTINE) refused before: the fraction is that of new bars.
    origins
        Where the bars were read from: the quarantine keeps file, line and the text of every field.
    max_bad_fraction, jump_fail_bps, min_history
        Limits: bad bars by new bars, the move over which a bar is looked at as an error, bars a symbol should have.

    Raises
    ------
    DataError
        A column is missing or Great Expectations could not evaluate an expectation. Bad rows never raise here: see
        `Validation.require`.
    """
    missing = [column for column in BARS.columns if column not in bars]
    if missing:
        raise DataError(f"Expected the columns {list(BARS.columns)}, found none of {missing}.")
    ordered = bars[list(BARS.columns)].reset_index(drop=True).sort_values(["symbol", "session"], kind="stable")
    rows, places = ordered.reset_index(drop=True), ordered.index
    earlier = _before(rows, context)
    checked = with_row_checks(rows, earlier, NO_ACTIONS if actions is None else actions, jump_fail_bps)
    judged = _run(checked, row_suite(session, jump_fail_bps))
    broken = _broken(judged)
    refused = sorted({row for row, _, _ in broken})
    read_from = {} if origins is None else {row: origins.of(int(places[row])) for row in refused}
    reasons = [_reason(checked, each, read_from.get(each[0])) for each in broken]
    quarantined = quarantine_rows(rows, reasons, read_from)
    good = BARS.coerce(rows.drop(index=refused))
    symbols = sorted({*rows["symbol"].dropna(), *expected_symbols})
    covered = coverage(pd.concat([earlier, good]) if len(earlier) else good, symbols, session)
    suites = [judged]
    if not covered.empty:
        suites.append(_run(covered.drop(columns=["missing", "last", "longer"]), coverage_suite(min_history)))
    new = count_new(good, quarantined, stored, known_bad, most=max_bad_fraction)
    results = {
        "session": str(session),
        "symbols": symbols,
        "rows": len(rows),
        "good_rows": len(good),
        "bad_rows": len(refused),
        "new_bars": new.bars,
        "new_bad_bars": new.bad,
        "judged_over": new.judged_over,
        "bad_fraction": new.bad_fraction,
        "schema_ok": _schema_ok(judged),
        "reasons": dict(Counter(reason.name for reason in reasons)),
        **_coverage_findings(covered, min_history),
        "large_moves": _large_moves(checked.drop(index=refused), "move_bps", jump_fail_bps),
        "given_back": _large_moves(checked.drop(index=refused), "given_back_bps", jump_fail_bps),
        "suites": [_portable(suite) for suite in suites],
    }
    return Validation(good, quarantined, results, new.bad_fraction, max_bad_fraction)


def _before(rows: pd.DataFrame, context: pd.DataFrame | None) -> pd.DataFrame:
    """Return the bars of `context` that are older than the batch's first bar of the same symbol."""
    if context is None or context.empty:
        return BARS.empty()
    first = context["symbol"].map(rows.groupby("symbol")["session"].min())
    return context.loc[context["session"] < first, list(BARS.columns)]


def _run(frame: pd.DataFrame, suite: gx.ExpectationSuite) -> ExpectationSuiteValidationResult:
    with _one_at_a_time:
        context = gx.get_context(mode="ephemeral")
        context.enable_analytics(enable=False)
        context.variables.progress_bars = ProgressBarsConfig(globally=False, metric_calculations=False)
        asset = context.data_sources.add_pandas("bars").add_dataframe_asset(suite.name)
        batch = asset.add_batch_definition_whole_dataframe("batch").get_batch({"dataframe": frame})
        judged: ExpectationSuiteValidationResult = batch.validate(suite, result_format={"result_format": "COMPLETE"})
    for result in judged.results:
        raised = result.exception_info or {}
        if raised.get("raised_exception", bool(set(raised) - {"raised_exception", "exception_traceback", "exception_message"})):
            raise DataError(f"Expectation {_name(result)} could not be evaluated: {raised}")
    return judged


def _name(result: ExpectationValidationResult) -> str:
    """Name of an expectation with its columns, unique within a suite."""
    config = _config(result)
    wanted = config.kwargs
    pair = [wanted[key] for key in ("column", "column_A", "column_B") if key in wanted]
    return ":".join([config.type, *(pair or wanted.get("column_list", []))])


def _critical(result: ExpectationValidationResult) -> bool:
    return _config(result).severity == FailureSeverity.CRITICAL


def _config(result: ExpectationValidationResult) -> ExpectationConfiguration:
    if result.expectation_config is None:
        raise DataError(f"Expected every result to name its expectation, found {result}.")
    return result.expectation_config


def _broken(judged: ExpectationSuiteValidationResult) -> list[tuple[int, str, str]]:
    """Return (row, expectation, what it says) for each row that breaks a critical expectation."""
    return [
        (int(row), _name(result), (_config(result).meta or {})["says"])
        for result in judged.results
        if _critical(result)
        for row in result.result.get("unexpected_index_list") or []
    ]


def _reason(checked: pd.DataFrame, broken: tuple[int, str, str], origin: Origin | None) -> Reason:
    row, name, says = broken
    columns = [column for column in name.split(":")[1:] if column in checked]
    return Reason(
        row, name, f"Expected: {says}; found {describe({name: checked.loc[row, name] for name in columns}, columns, origin)}."
    )


def _schema_ok(judged: ExpectationSuiteValidationResult) -> bool:
    """Return True when the expectations on the whole table hold (they name no rows)."""
    return all(result.success for result in judged.results if _critical(result) and "unexpected_count" not in result.result)


def _coverage_findings(covered: pd.DataFrame, min_history: int) -> dict[str, dict[str, Any]]:
    """Stale symbols with their last bar, missing sessions, symbols of too few bars and of a doubtful bar size."""
    if covered.empty:
        return {"stale": {}, "missing": {}, "short": {}, "spacing": {}}
    return {
        "stale": _by_symbol(covered[covered["sessions_behind"] > 0], "last"),
        "missing": _by_symbol(covered[covered["missing_sessions"] > 0], "missing"),
        "short": _by_symbol(covered[covered["bars"] < max(min_history, 1)], "bars"),
        "spacing": _by_symbol(covered[covered["longer_bars"] > 0], "longer"),
    }


def _by_symbol(covered: pd.DataFrame, column: str) -> dict[str, Any]:
    return dict(zip(covered["symbol"], covered[column].tolist(), strict=True))


def _large_moves(good: pd.DataFrame, column: str, fail_bps: float) -> list[dict[str, Any]]:
    large = good[good[column].abs() > fail_bps]
    moves = zip(large["symbol"], large["session"].dt.date.astype(str), large[column].round(1), strict=True)
    return [{"symbol": symbol, "session": day, "move_bps": float(move)} for symbol, day, move in moves]


def _portable(judged: ExpectationSuiteValidationResult) -> dict[str, Any]:
    """Return the result as strict JSON: row lists are in the quarantine already, NaN becomes null."""
    plain: dict[str, Any] = judged.to_json_dict()  # type: ignore[no-untyped-call]
    for result in plain["results"]:
        for key in _BULKY:
            result["result"].pop(key, None)
    portable: dict[str, Any] = json.loads(json.dumps(plain, default=str), parse_constant=lambda _: None)
    return portable
