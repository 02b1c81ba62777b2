"""Alpaca as a venue: the desk's orders in its requests, its answers as nouns. Owns brackets and their children's names.

Equities, in whole or fractional shares, and crypto pairs; market, limit and stop orders. A bracket's children get ids of their
own from Alpaca; here they are called `<entry>.stop` and `<entry>.target`.
"""

from __future__ import annotations

import math
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import structlog
from alpaca.trading.enums import OrderSide
from alpaca.trading.requests import LimitOrderRequest, MarketOrderRequest, StopOrderRequest

from core.errors import RetryLater, UnknownSymbol
from core.models import FINAL, Answer, Instrument, Leg, MarketClock, MarketDay, OrderState, OrderType, Refused
from trading.brokers.alpaca.cash import TYPES, movements_of
from trading.brokers.alpaca.children import Children
from trading.brokers.alpaca.families import Families
from trading.brokers.alpaca.read import (
    NEW_YORK,
    STATES,
    fill_of_activity,
    instant,
    is_crypto,
    is_dormant,
    number,
    position_of,
    state_of,
    unreadable_order,
    unreadable_position,
    venue_symbol,
    view_of,
)
from trading.brokers.alpaca.terms import CENT, children_of, time_in_force
from trading.brokers.alpaca.wire import DUPLICATE, VenueRefusal, readable
from trading.brokers.base import unfenced
from trading.brokers.listing import Listing, read_each
from trading.orders import figure
from trading.portfolio import Account

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Iterator, Mapping

    from core.book_events import CashMovement
    from core.models import Fill, OrderIntent, OrderView, Position, VenuePosition
    from trading.brokers.alpaca.wire import AlpacaClient
    from trading.brokers.base import Fence

    Json = dict[str, Any]

log = structlog.get_logger()
REQUESTS = {OrderType.MARKET: MarketOrderRequest, OrderType.LIMIT: LimitOrderRequest, OrderType.STOP: StopOrderRequest}
BLOCKS = ("trading_blocked", "account_blocked", "trade_suspended_by_user")
FRACTION = Decimal("0.000000001")
ACTIVITIES_A_PAGE = 100


class AlpacaBroker:
    """One account at Alpaca; see `trading.brokers.base.Broker`.

    Parameters
    ----------
    client
        Decides the endpoint, and how long an answer is waited for.
    price_of
        Last price of a symbol, None when there is none: what the stop and target of a market entry are reckoned from when it
        is sent. `move_children` puts them right after the fill.
    gap_pct
        How far from that price an open may lie without waking a child at once, percent: the stop is reckoned from an open so
        much worse, the target from one so much better.
    brackets
        Whether stops and targets rest at Alpaca. It keeps them for whole shares alone, so quantities are then whole and an
        entry with a stop in a crypto pair is refused. Without, shares are fractional and the desk watches the stops.
    """

    name = "alpaca"

    def __init__(
        self,
        client: AlpacaClient,
        price_of: Callable[[str], float | None] = lambda _symbol: None,
        *,
        brackets: bool = True,
        gap_pct: float = 0.0,
    ) -> None:
        self.client = client
        self.price_of = price_of
        self.gap_pct = gap_pct
        self.holds_brackets = brackets
        self.families = Families(client)
        self.children = Children(client, self.families)

    @readable
    def submit(self, order: OrderIntent, fence: Fence = unfenced) -> Answer:
        """Send the order once; an exit first takes back the stop and target that hold its shares.

        An exit that Alpaca refuses puts them back. One whose stop or target filled in that moment is not sent, nor is one while
        the account takes no orders: its stop could not be put back.
        """
        objection = self._objection(order)
        if objection is not None:
            return Answer(OrderState.REJECTED, *objection)
        try:
            body = self._request(order)
        except ValueError as error:  # alpaca-py's own checks; nothing was sent
            return Answer(OrderState.REJECTED, Refused.OTHER, str(error))
        return self._leave(order, body, fence) if order.leg is Leg.EXIT else self._post(order, body, fence)

    def _leave(self, order: OrderIntent, body: Json, fence: Fence) -> Answer:
        """Take the children of an exit back, send it, and put them back if it is refused."""
        blocked = self._blocked() if self.holds_brackets else None
        if blocked is not None:
            return Answer(OrderState.REJECTED, Refused.ACCOUNT, blocked)
        fence()
        released = self.children.release(order)
        if released.filled:
            return Answer(OrderState.REJECTED, Refused.QUANTITY, "its stop or target filled in the same moment")
        answer = self._post(order, body, fence)
        if answer.state is OrderState.REJECTED:  # the position is still there, and naked
            self.children.restore(released.covers)
        return answer

    def _post(self, order: OrderIntent, body: Json, fence: Fence) -> Answer:
        fence()
        try:
            placed = self.client.one("POST", "/orders", body)
        except VenueRefusal as refusal:
            if refusal.message == DUPLICATE:
                return self._sent_before(order)
            return Answer(OrderState.REJECTED, refusal.refused, refusal.message)
        self.families.learn(placed)
        view = view_of(placed, order.client_order_id)
        refused = Refused.OTHER if view.state is OrderState.REJECTED else None
        return Answer(view.state, refused, view.reason, view.venue_order_id)

    @readable
    def find(self, client_order_id: str) -> OrderView | None:
        """The order, or the child of a bracket, as Alpaca has it."""
        found = self.families.order(client_order_id)
        return None if found is None else view_of(found, client_order_id)

    @readable
    def cancel(self, client_order_id: str) -> Answer:
        """Ask for the cancellation; a bracket's children go with their entry if it never filled."""
        found = self.families.order(client_order_id)
        if found is None:
            return Answer(OrderState.UNKNOWN, Refused.UNKNOWN_ORDER, "Alpaca has no such order")
        if STATES.get(found["status"]) in FINAL:  # one of an unknown status may work, and is cancelled
            return Answer(state_of(found), Refused.TOO_LATE, f"the order is {found['status']}", found["id"])
        refusal = self.children.cancel(found["id"])
        now = self.client.one("GET", f"/orders/{found['id']}")
        if refusal is not None:
            return Answer(state_of(now), refusal.refused, refusal.message, found["id"])
        state = state_of(now)
        return Answer(state if state in FINAL else OrderState.CANCEL_PENDING, venue_order_id=found["id"])

    @readable
    def open_orders(self) -> Listing[OrderView]:
        """Orders that work at Alpaca or wait for their parent, sorted by the desk's names."""
        names = self.families
        rows = names.open_orders()
        entries = {names.shown_name(order) for order in rows}
        found = read_each(
            rows,
            lambda order: view_of(order, (name := names.name(order)), dormant=is_dormant(order, name, entries)),
            lambda order, problem: unreadable_order(order, names.shown_name(order), problem),
        )
        return Listing(sorted(found, key=lambda view: view.client_order_id), found.unreadable)

    @readable
    def positions(self) -> Listing[VenuePosition]:
        """Return the positions of the account, sorted by symbol."""
        found = read_each(self.client.rows("/positions"), position_of, unreadable_position)
        return Listing(sorted(found, key=lambda position: position.symbol), found.unreadable)

    @readable
    def fills(self, since: dt.datetime) -> Listing[Fill]:
        """Executions at or after an instant, oldest first; Alpaca's fees come later, as activities of their own."""
        names = self.families
        found = read_each(
            self._activities(since),
            lambda row: fill_of_activity(row, names.name_of_id(row["order_id"])),
            lambda row, problem: unreadable_order(row, names.shown_name_of_id(row), problem),
        )
        fills = [fill for fill in found if fill.filled_at >= since]
        return Listing(sorted(fills, key=lambda fill: (fill.filled_at, fill.fill_id)), found.unreadable)

    @readable
    def cash_movements(self, since: dt.date) -> Listing[CashMovement]:
        """Return the deposits, withdrawals, dividends, fees and interest on or after a day, oldest first."""
        query = {"activity_types": ",".join(TYPES), "after": f"{since.isoformat()}T00:00:00Z"}
        return movements_of(self._pages("/account/activities", query))

    @readable
    def cash_usd(self) -> Decimal:
        """Cash of the account; NaN where Alpaca wrote no number."""
        return figure(self.client.one("GET", "/account")["cash"])

    @readable
    def account(self, prices: Mapping[str, float]) -> Account:
        """Cash, equity and exposure as Alpaca marks them; NaN where it wrote no number."""
        del prices
        found = self.client.one("GET", "/account")
        cash, equity, long, short = (
            float(figure(found[name])) for name in ("cash", "equity", "long_market_value", "short_market_value")
        )
        return Account(cash, equity, abs(long) + abs(short))

    @readable
    def instrument(self, symbol: str) -> Instrument:
        """Grid and smallest order: whole shares with brackets, else Alpaca's nine decimals where the asset is fractionable."""
        path = f"/assets/{venue_symbol(symbol).replace('/', '%2F')}"
        try:
            asset = self.client.one("GET", path)
        except VenueRefusal as refusal:
            raise UnknownSymbol(symbol) from refusal
        if not asset["tradable"]:  # delisted, or not open to this account
            raise UnknownSymbol(symbol)
        if asset["class"] == "crypto":
            step, least = number(asset["min_trade_increment"]), number(asset["min_order_size"])
            says = {"asset_class": "crypto", "calendar": "24/7", "name:alpaca": str(asset["symbol"])}
            return Instrument(symbol, step, least, Decimal(1), number(asset["price_increment"]), says)
        step = FRACTION if asset["fractionable"] and not self.holds_brackets else Decimal(1)
        says = {"currency": "USD", "calendar": "XNYS", "name:alpaca": str(asset["symbol"])}
        return Instrument(symbol, step, step, Decimal(1), CENT, says)

    # What only this venue has.

    @readable
    def clock(self) -> MarketClock:
        """The venue's time and whether the market is open, halts aside."""
        found = self.client.one("GET", "/clock")
        times = {name: instant(found[key]) for name, key in (("now", "timestamp"), ("next_open", "next_open"))}
        return MarketClock(is_open=bool(found["is_open"]), next_close=instant(found["next_close"]), **times)

    @readable
    def calendar(self, start: dt.date, end: dt.date) -> list[MarketDay]:
        """Sessions from `start` to `end`, both included, with their hours; half days close early."""
        import datetime as dt

        def at(date: str, hour: str) -> dt.datetime:
            return dt.datetime.fromisoformat(f"{date}T{hour}").replace(tzinfo=NEW_YORK).astimezone(dt.UTC)

        rows = self.client.many("/calendar", {"start": start.isoformat(), "end": end.isoformat()})
        return [
            MarketDay(dt.date.fromisoformat(row["date"]), at(row["date"], row["open"]), at(row["date"], row["close"]))
            for row in rows
        ]

    @readable
    def move_children(self, entry: str, stop_price: Decimal | None, target_price: Decimal | None) -> int:
        """Put the stop and target of a filled entry at these prices, rounded to the tick; return how many moved."""
        return self.children.move(entry, stop_price, target_price)

    @readable
    def protect(self, position: Position, quantity: Decimal) -> bool:
        """Send a stop and target for the quantity of a position that has none; False when Alpaca refuses.

        An entry that ends in part takes its children along, and the venue may end one alone.
        """
        return self.children.protect(position, quantity)

    def _blocked(self) -> str | None:
        """Return why the account takes no orders, in Alpaca's words for it, or None."""
        account = self.client.one("GET", "/account")
        found = [name for name in BLOCKS if account.get(name)]
        return f"the account is blocked at Alpaca: {', '.join(found)}" if found else None

    def _objection(self, order: OrderIntent) -> tuple[Refused, str] | None:
        """Return why Alpaca cannot take the order, as reason and words, or None."""
        if order.quantity <= 0 or order.quantity % FRACTION:
            return Refused.QUANTITY, f"Quantity: expected more than 0 with at most nine decimals, found {order.quantity}."
        return self._bracket_objection(order) if self._wants_bracket(order) else None

    def _bracket_objection(self, order: OrderIntent) -> tuple[Refused, str] | None:
        if is_crypto(order.symbol):
            return (
                Refused.OTHER,
                "Alpaca keeps no stops for crypto pairs. Set VENUE__ALPACA__BRACKETS=0, and the desk watches them.",
            )
        if order.quantity % 1:
            return Refused.QUANTITY, f"Quantity: expected whole shares, which alone take a bracket, found {order.quantity}."
        reference = self._reference(order)
        if reference is None or reference <= 0:
            return Refused.PRICE, f"No price of {order.symbol} is known to reckon its stop and target from."
        return None

    def _wants_bracket(self, order: OrderIntent) -> bool:
        return self.holds_brackets and order.leg is Leg.ENTRY and (order.stop_pct is not None or order.target_pct is not None)

    def _reference(self, order: OrderIntent) -> float | None:
        return self.price_of(order.symbol) if order.limit_price is None else float(order.limit_price)

    def _request(self, order: OrderIntent) -> Json:
        """The body of the order; numbers as decimal text, which loses nothing."""
        levels = {"limit_price": order.limit_price, "stop_price": order.stop_price}
        prices = {field: f"{price:f}" for field, price in levels.items() if price is not None}
        bracket = children_of(order, self._reference(order) or math.nan, self.gap_pct) if self._wants_bracket(order) else {}
        request = REQUESTS[order.order_type](
            symbol=venue_symbol(order.symbol),
            qty=float(order.quantity),
            side=OrderSide(order.side.value),
            time_in_force=time_in_force(order, in_bracket=bool(bracket)),
            client_order_id=order.client_order_id,
            **{field: float(price) for field, price in prices.items()},
            **bracket,
        )
        return request.to_request_fields() | {"qty": f"{order.quantity:f}"} | prices

    def _sent_before(self, order: OrderIntent) -> Answer:
        """Return the answer for the order that Alpaca has under this id."""
        found = self.find(order.client_order_id)
        if found is None:
            raise RetryLater(f"Alpaca says that order {order.client_order_id} exists, and does not find it.")
        return Answer(found.state, None, "sent before", found.venue_order_id)

    def _activities(self, since: dt.datetime) -> Iterator[Json]:
        """Fills as account activities, page after page, from a second before the instant, which Alpaca excludes."""
        import datetime as dt

        yield from self._pages("/account/activities/FILL", {"after": (since - dt.timedelta(seconds=1)).isoformat()})

    def _pages(self, path: str, wanted: Mapping[str, str]) -> Iterator[Json]:
        """Rows of account activities, oldest first, page after page."""
        query: dict[str, Any] = {**wanted, "direction": "asc", "page_size": ACTIVITIES_A_PAGE}
        while True:
            page = self.client.rows(path, query)
            yield from page
            ids = [row["id"] for row in page if isinstance(row, dict) and row.get("id")]
            if len(page) < ACTIVITIES_A_PAGE or not ids:
                return
            query["page_token"] = ids[-1]
