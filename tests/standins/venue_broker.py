"""The adapter to the stand-in venue: a small, whole `trading.brokers.base.Broker` over HTTP."""

from __future__ import annotations

import datetime as dt
import os
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import httpx

from core.book_events import BookEventKind, CashMovement
from core.errors import RetryLater
from core.models import Answer, Fill, Instrument, OrderState, OrderView, Refused, Side, VenuePosition
from core.sessions import open_of
from trading.brokers.base import unfenced
from trading.brokers.listing import Listing
from trading.portfolio import Account

if TYPE_CHECKING:
    from collections.abc import Mapping

    from core.models import OrderIntent
    from trading.brokers.base import Fence


class VenueBroker:
    """One run at the venue; every fill is in `session`."""

    name = "venue"
    holds_brackets = False

    def __init__(
        self,
        url: str,
        run: str,
        session: dt.date,
        cash_usd: Decimal = Decimal(100_000),
        held: Mapping[str, Decimal] | None = None,
    ) -> None:
        self._held = dict(held or {})  # before the run, in the terms before its split
        self._client = httpx.Client(base_url=f"{url}/{run}", timeout=5.0, verify=False)  # noqa: S501  # plain HTTP; spares loading certificates
        self._session = session
        self._cash_usd = cash_usd

    def submit(self, order: OrderIntent, fence: Fence = unfenced) -> Answer:
        fence()
        body = {
            "client_order_id": order.client_order_id,
            "symbol": order.symbol,
            "side": order.side,
            "quantity": str(order.quantity),
            "pid": os.getpid(),
        }
        return Answer(OrderState(self._ask("POST", "/orders", body)["state"]))

    def find(self, client_order_id: str) -> OrderView | None:
        found = self._ask("GET", f"/orders/{client_order_id}")
        return None if found is None else _view(found)

    def cancel(self, client_order_id: str) -> Answer:
        found = self._ask("DELETE", f"/orders/{client_order_id}")
        if found is None:
            return Answer(OrderState.CANCELLED, Refused.UNKNOWN_ORDER)
        state = OrderState(found["state"])
        return Answer(state, None if state is OrderState.CANCELLED else Refused.TOO_LATE)

    def open_orders(self) -> Listing[OrderView]:
        return Listing(sorted((_view(order) for order in self._ask("GET", "/orders")), key=lambda view: view.client_order_id))

    def positions(self) -> Listing[VenuePosition]:
        split = Decimal(self._ask("GET", "/split")["split"]) if self._held else Decimal(1)
        held = {symbol: quantity * split for symbol, quantity in self._held.items()}
        for fill in {fill.fill_id: fill for fill in self.fills(dt.datetime.min.replace(tzinfo=dt.UTC))}.values():
            held[fill.symbol] = held.get(fill.symbol, Decimal(0)) + (fill.quantity if fill.side is Side.BUY else -fill.quantity)
        return Listing(VenuePosition(symbol, quantity, Decimal(100)) for symbol, quantity in sorted(held.items()) if quantity)

    def fills(self, since: dt.datetime) -> Listing[Fill]:
        del since  # the venue tells everything again each time
        return Listing(self._fill(told) for told in self._ask("GET", "/fills"))

    def cash_movements(self, since: dt.date) -> list[CashMovement]:
        rows = [
            (each["id"], dt.date.fromisoformat(each["date"]), Decimal(each["usd"])) for each in self._ask("GET", "/movements")
        ]
        return [CashMovement(name, BookEventKind.WITHDRAWAL, day, usd) for name, day, usd in rows if day >= since]

    def cash_usd(self) -> Decimal:
        fills = {fill.fill_id: fill for fill in self.fills(dt.datetime.min.replace(tzinfo=dt.UTC))}.values()
        traded = [fill.quantity * fill.price * (1 if fill.side is Side.SELL else -1) for fill in fills]
        moved = [each.usd for each in self.cash_movements(dt.date.min)]
        return self._cash_usd + sum((*traded, *moved), Decimal(0))

    def account(self, prices: Mapping[str, float]) -> Account:
        del prices
        cash = float(self.cash_usd())
        return Account(cash, cash, 0.0)

    def instrument(self, symbol: str) -> Instrument:
        return Instrument(symbol)

    def _fill(self, told: dict[str, Any]) -> Fill:
        price = Decimal(told["price"])
        return Fill(
            fill_id=told["fill_id"],
            client_order_id=told["client_order_id"],
            symbol=told["symbol"],
            side=Side(told["side"]),
            quantity=Decimal(told["quantity"]),
            price=price,
            raw_price=price,
            commission_usd=Decimal(0),
            session=self._session,
            filled_at=open_of(self._session) + dt.timedelta(seconds=told["number"]),
            reason="venue",
        )

    def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """The answer's JSON, None for 404; everything that proves nothing is `RetryLater`."""
        try:
            answer = self._client.request(method, path, json=body)
            if answer.status_code == httpx.codes.NOT_FOUND:
                return None
            if answer.status_code != httpx.codes.OK:
                pause = answer.headers.get("Retry-After")
                raise RetryLater(f"{method} {path}: {answer.status_code}", retry_after_seconds=float(pause) if pause else None)
            return answer.json()
        except (httpx.TransportError, ValueError) as error:
            raise RetryLater(f"{method} {path}: {error}") from error


def _view(order: dict[str, Any]) -> OrderView:
    filled = Decimal(order["filled"])
    return OrderView(
        order["client_order_id"],
        order["symbol"],
        Side(order["side"]),
        Decimal(order["quantity"]),
        OrderState(order["state"]),
        filled,
        Decimal(100) if filled else None,
    )
