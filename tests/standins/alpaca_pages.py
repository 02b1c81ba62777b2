"""What Alpaca's API answers: the JSON of each page, from the stand-in's exchange. No sockets and no state."""

from __future__ import annotations

import datetime as dt
import zoneinfo
from typing import TYPE_CHECKING, Any

from core.sessions import close_of, open_of, sessions_between
from tests.standins.alpaca_orders import ACCOUNT_ID, OPEN, VenueOrder, stamp, text

if TYPE_CHECKING:
    from tests.standins.alpaca_exchange import Exchange

NEW_YORK = zoneinfo.ZoneInfo("America/New_York")


def listed(exchange: Exchange, query: dict[str, str]) -> list[dict[str, Any]]:
    """Orders as `GET /v2/orders` filters and sorts them: newest first, 50 unless told, at most 500."""
    nested, status = query.get("nested") in {"true", "True"}, query.get("status", "open")
    symbols = set(query["symbols"].split(",")) if "symbols" in query else None

    def wanted(order: VenueOrder) -> bool:
        live = order.status in OPEN or any(leg.status in OPEN for leg in order.legs if nested)
        return (
            (symbols is None or order.symbol in symbols)
            and (status == "all" or live == (status == "open"))
            and not (nested and order.parent)
            and (status == "all" or exchange.lists_held or order.shown_status != "held")
            and (query.get("after") or "") < (stamp(order.times["submitted_at"]) or "") < (query.get("until") or "9")
        )

    found = [order for order in exchange.orders.values() if wanted(order)]
    if query.get("direction", "desc") == "desc":
        found.reverse()
    others = exchange.other_orders if status != "closed" and symbols is None and "until" not in query else []
    return [order.json(nested=nested) for order in found[: min(int(query.get("limit", 50)), 500)]] + others


def activities(exchange: Exchange, query: dict[str, str]) -> list[dict[str, Any]]:
    """`GET /v2/account/activities`, fills or by type: pages of at most 100, a token being the last id of the page before."""
    if "activity_types" in query:
        types, after = query["activity_types"].split(","), query.get("after", "")[:10]
        rows = [row for row in exchange.movements if row["activity_type"] in types and row["date"] >= after]
    else:
        rows = [row for row in exchange.activities if str(row["transaction_time"]) > query.get("after", "")]
    if query.get("direction", "desc") == "desc":
        rows.reverse()
    ids = [row["id"] for row in rows]
    start = ids.index(query["page_token"]) + 1 if query.get("page_token") in ids else 0
    return rows[start : start + min(int(query.get("page_size", 100)), 100)]


def asset_json(exchange: Exchange, symbol: str) -> dict[str, Any]:
    """`GET /v2/assets/SYMBOL`."""
    asset = exchange.asset(symbol)
    crypto = asset.kind == "crypto"
    steps = {"min_order_size": "0.0001", "min_trade_increment": "0.0001", "price_increment": "0.01"} if crypto else {}
    return {
        "id": asset.id,
        "class": asset.kind,
        "exchange": "CRYPTO" if crypto else "NASDAQ",
        "symbol": asset.symbol,
        "name": asset.symbol,
        "status": "active" if asset.tradable else "inactive",
        "tradable": asset.tradable,
        "marginable": not crypto,
        "shortable": asset.shortable,
        "easy_to_borrow": asset.shortable,
        "fractionable": asset.fractionable,
        **steps,
    }


def position_json(exchange: Exchange, symbol: str) -> dict[str, Any]:
    """One element of `GET /v2/positions`; a crypto pair is written without its slash, as the venue does."""
    quantity, average = exchange.held[symbol]
    asset = exchange.assets[symbol]
    return {
        "asset_id": asset.id,
        "symbol": symbol.replace("/", ""),
        "exchange": "CRYPTO" if asset.kind == "crypto" else "NASDAQ",
        "asset_class": asset.kind,
        "asset_marginable": asset.kind != "crypto",
        "avg_entry_price": text(average),
        "qty": text(quantity),
        "qty_available": text(quantity),
        "side": "long" if quantity > 0 else "short",
        "market_value": text(quantity * asset.price),
        "cost_basis": text(quantity * average),
        "unrealized_pl": text(quantity * (asset.price - average)),
        "current_price": text(asset.price),
    }


def account_json(exchange: Exchange) -> dict[str, Any]:
    """`GET /v2/account`."""
    values = [quantity * exchange.assets[symbol].price for symbol, (quantity, _) in exchange.held.items()]
    longs, shorts = (sum(value for value in values if value > 0), sum(value for value in values if value < 0))
    return {
        "id": ACCOUNT_ID,
        "account_number": "PA00000000",
        "status": "ACTIVE",
        "crypto_status": "ACTIVE",
        "currency": "USD",
        "buying_power": text(exchange.buying_power()),
        "cash": text(exchange.cash),
        "portfolio_value": text(exchange.cash + longs + shorts),
        "equity": text(exchange.cash + longs + shorts),
        "last_equity": text(exchange.cash),
        "long_market_value": text(longs),
        "short_market_value": text(shorts),
        "multiplier": "1",
        "pattern_day_trader": exchange.pattern_day_trader,
        "trading_blocked": exchange.trading_blocked,
        "transfers_blocked": False,
        "account_blocked": False,
        "trade_suspended_by_user": False,
        "shorting_enabled": True,
        "created_at": stamp(exchange.now()),
        "daytrade_count": 0,
        **exchange.account_says,
    }


def clock_json(exchange: Exchange) -> dict[str, Any]:
    """`GET /v2/clock`, in New York time as the venue writes it."""
    now = exchange.now()
    days = calendar_json(exchange, f"{now:%Y-%m-%d}", f"{now + dt.timedelta(days=10):%Y-%m-%d}")

    def coming(bell: str) -> str:
        bells = [dt.datetime.fromisoformat(f"{day['date']}T{day[bell]}").replace(tzinfo=NEW_YORK) for day in days]
        return next(moment for moment in bells if moment > now).isoformat()

    return {
        "timestamp": now.astimezone(NEW_YORK).isoformat(),
        "is_open": exchange.is_open,
        "next_open": coming("open"),
        "next_close": coming("close"),
    }


def calendar_json(exchange: Exchange, start: str, end: str) -> list[dict[str, str]]:
    """`GET /v2/calendar`: sessions with their hours in New York time, half days and the exchange's special days included."""
    first, last = dt.date.fromisoformat(start), dt.date.fromisoformat(end)
    days: dict[dt.date, tuple[str, str] | None] = {
        stamp.date(): (_local(open_of(stamp.date())), _local(close_of(stamp.date()))) for stamp in sessions_between(first, last)
    }
    days |= {day: hours for day, hours in exchange.special_days.items() if first <= day <= last}
    return [{"date": f"{day}", "open": hours[0], "close": hours[1]} for day, hours in sorted(days.items()) if hours is not None]


def _local(moment: dt.datetime) -> str:
    return f"{moment.astimezone(NEW_YORK):%H:%M}"
