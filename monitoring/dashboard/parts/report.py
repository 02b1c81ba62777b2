"""The performance report: one HTML file of a book, without scripts or anything from elsewhere; a browser prints it to PDF.

Every figure is the API's. A report made while the API does not answer says so, with the age of its figures.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from monitoring.dashboard import figures, table
from monitoring.dashboard.parts import limits
from monitoring.dashboard.parts.line_picture import picture
from monitoring.dashboard.reading import Reader
from monitoring.dashboard.table import Column

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping, Sequence

    from monitoring.dashboard.api import Api

POINTS: Final = 2_000  # of the curve: the API thins a longer one to weeks or months
MOST: Final = 500
PERIODS: Final = {"today": "Session", "week": "Week", "month": "Month", "start": "Since the start"}
PNL: Final = (
    Column("period", "Period", text=lambda row: PERIODS.get(row["period"], str(row["period"]))),
    Column("after", "After the close of"),
    Column("session", "To the close of"),
    Column("pnl_usd", "Result", "USD", kind="signed"),
    Column("return_pct", "Result", "%", kind="signed"),
    Column("trades", "Closed trades", kind="number", decimals=0),
    Column("win_rate_pct", "Won", "% of trades", kind="number", decimals=1),
    Column("reason", "Note", wraps=True),
)
POSITIONS: Final = (
    Column("sleeve", "Sleeve"),
    Column("symbol", "Symbol"),
    Column("quantity", "Quantity", "shares", kind="quantity"),
    Column("entry_session", "Entry"),
    Column("entry_price", "Entry price", "USD", kind="number"),
    Column("last_price", "Last price", "USD", kind="number"),
    Column("price_session", "Priced"),
    Column("value_usd", "Value", "USD", kind="number"),
    Column("unrealised_usd", "Unrealised", "USD", kind="signed"),
    Column("unrealised_pct", "Unrealised", "%", kind="signed"),
)
STYLE: Final = """
:root { color-scheme: light; }
body { font: 0.875rem/1.4 system-ui, sans-serif; color: #111; background: #FFF; }
body { max-width: 68rem; margin: 1.5rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin: 0; }
section { margin-top: 1.25rem; }
svg { width: 100%; height: auto; }
svg text { font: 12px system-ui, sans-serif; fill: #333; }
.desk-table { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: 0.75rem; font-variant-numeric: tabular-nums; }
caption { text-align: left; font-weight: 600; font-size: 1rem; padding: 0.25rem 0; }
th, td { padding: 0.2rem 0.4rem; border-bottom: 1px solid #CCC; text-align: left; vertical-align: top; }
thead { display: table-header-group; }
.figure { text-align: right; }
td.figure, td.good, td.caution, td.bad { white-space: nowrap; }
.unit { font-weight: 400; }
.good { color: #00664D; } .caution { color: #6B5F00; } .bad { color: #A84A00; font-weight: 600; }
meter { width: 3rem; }
@page { size: A4 landscape; margin: 12mm; }
@media print {
  body { max-width: none; margin: 0; padding: 0; font-size: 9pt; }
  table { font-size: 7.5pt; }
  .desk-table { overflow: visible; }
  tr, figure, svg { break-inside: avoid; }
  .screen { display: none; }
}
"""


def report(source: Api, book: str | None, comparison: Sequence[Column], now: dt.datetime) -> bytes:
    """Return the report of a book as an HTML file.

    Parameters
    ----------
    comparison
        Columns of the table of live against backtest.
    now
        Instant of the report, UTC.
    """
    reader = Reader(source)
    sections = [*_curves(reader, book), *_tables(reader, book, comparison, now)]
    message = reader.message(now)
    return _document(book or "the desk", sections, message, now).encode()


def _document(book: str, sections: Sequence[str], message: str | None, now: dt.datetime) -> str:
    title = f"Performance of {figures.escaped(book)}"
    fault = f'<p role="alert" class="bad">■ {figures.escaped(message)}</p>' if message else ""
    body = "".join(f"<section>{each}</section>" for each in sections)
    policy = "default-src 'none'; style-src 'unsafe-inline'"
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        f'<meta name="viewport" content="width=device-width"><title>{title}</title><style>{STYLE}</style></head><body>'
        f"<h1>{title}</h1><p>Made {figures.instant(now)}. Amounts in US dollars; sessions are days of the exchange.</p>{fault}"
        f'{body}<p class="screen">To keep it as PDF: print this page.</p></body></html>'
    )


def _curves(reader: Reader, book: str | None) -> list[str]:
    rows = reader.rows("/equity", book=book, limit=POINTS) or []
    sessions = [str(row["session"]) for row in rows]
    equity = picture("Equity at the close", "USD", sessions, [row["equity_usd"] for row in rows], "blue")
    falls = [row["drawdown_pct"] for row in rows]
    return [equity, picture("Drawdown: fall from the highest close before", "%", sessions, falls, "orange", down=True)]


def _tables(reader: Reader, book: str | None, comparison: Sequence[Column], now: dt.datetime) -> list[str]:
    results = reader.rows("/pnl", book=book)
    compared: Mapping[str, Any] | None = reader.content("/live-vs-backtest", book=book, points=POINTS)
    risk = reader.rows("/risk", book=book, limit=MOST)
    positions = reader.rows("/positions", book=book, limit=MOST)
    spans = f"closes from {compared['first']} to {compared['last']}" if compared and compared["first"] else "no close"
    promise = "" if compared is None or compared["promised"] else f"<p>{figures.escaped(compared['reason'])}</p>"
    against = None if compared is None else compared["rows"]
    caption = f"Live against backtest, net of costs, {spans}"
    measured = f"Risk limits and their use, as read {figures.instant(now)}"
    priced = f"Positions, priced at the close of {_span(positions, 'price_session')}"
    return [
        _table(PNL, results, "Result", "No close is on record."),
        _table(comparison, against, caption, "The book has no strategy.") + promise,
        _table(limits.COLUMNS, risk, measured, "No limit is on record."),
        _table(POSITIONS, positions, priced, "No position is held."),
    ]


def _table(columns: Sequence[Column], rows: Sequence[Mapping[str, Any]] | None, caption: str, empty: str) -> str:
    return table.markup(columns, rows, caption=caption, empty=empty, most=MOST, rest="The page has all of them.")


def _span(rows: Sequence[Mapping[str, Any]] | None, name: str) -> str:
    """Return the first and last session of what rows have by a name, `n/a` for none."""
    values = sorted(str(row[name]) for row in rows or [] if row.get(name))
    if not values:
        return figures.UNDEFINED
    return values[0] if values[0] == values[-1] else f"{values[0]} to {values[-1]}"
