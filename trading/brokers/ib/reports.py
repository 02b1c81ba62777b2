"""TWS's own reports on orders, and what an error code proves about one.

ib_async decides about an order by the code of an error: some refusals it takes for warnings (321, the API is read-only), and
every code it does not know for the end of the order, though many are notices (10349, a preset changed the time in force). Here
an error is written down beside its order, and the order is what `openOrder` and `orderStatus` say it is.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import structlog
from ib_async import IB, Client
from ib_async.wrapper import Wrapper

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ib_async import Contract, IBDefaults, Order, OrderState, Trade

log = structlog.get_logger()
UNPROVEN = frozenset({"PendingSubmit", "ApiPending", ""})  # ib_async writes them down before TWS has reported anything
CONNECTION = -1  # the number under which TWS says what is about no request of ours
CLIENT_ID_IN_USE = 326
CANCELLED = 202
REJECTED = frozenset({201, 203})
NOTICES = frozenset({165, 399, 404, 492, 10167, 10311, 10349, *range(2100, 2200)})
REFUSALS = frozenset({*range(103, 450), *range(501, 516), 10006, 10147, 10148, 10243, 10268, 10289}) - NOTICES


class Complaint(NamedTuple):
    """An error that TWS reported, by its code and words."""

    code: int
    words: str

    @property
    def refuses(self) -> bool:
        """True where TWS documents the code as not having done what it was asked to."""
        return self.code in REFUSALS

    @property
    def is_notice(self) -> bool:
        """True where TWS documents the code as proving nothing about an order."""
        return self.code in NOTICES


class Reports(Wrapper):
    """ib_async's record with the errors kept apart.

    Attributes
    ----------
    complaints
        What TWS said about each order of this client, by the order's number; about the connection under `CONNECTION`.
    """

    def __init__(self, ib: IB, defaults: IBDefaults) -> None:
        self.complaints: defaultdict[int, list[Complaint]] = defaultdict(list)
        super().__init__(ib, defaults=defaults)

    def error(self, reqId: int, errorCode: int, errorString: str, advancedOrderRejectJson: str) -> None:
        """Write an error about an order down; leave one about a request or the connection to ib_async."""
        if (self.clientId, reqId) in self.trades and reqId not in self._futures:
            self.complaints[reqId].append(Complaint(errorCode, errorString))
            log.info("tws_says", order=reqId, code=errorCode, words=errorString)
            return
        if reqId == CONNECTION:
            self.complaints[CONNECTION].append(Complaint(errorCode, errorString))
        super().error(reqId, errorCode, errorString, advancedOrderRejectJson)

    def openOrder(self, orderId: int, contract: Contract, order: Order, orderState: OrderState) -> None:  # noqa: N802  # ib_async's name
        """Take the state with the order: ib_async leaves it to an `orderStatus` to come."""
        super().openOrder(orderId, contract, order, orderState)
        trade = self.trades.get(self.orderKey(order.clientId, order.orderId, order.permId))
        if trade is not None and not order.whatIf and orderState.status:
            trade.orderStatus.status = orderState.status


class ReportingIB(IB):
    """An `IB` whose record is `Reports`."""

    wrapper: Reports

    def __init__(self) -> None:
        super().__init__()
        self.wrapper = Reports(self, self.wrapper.defaults)
        self.client = Client(self.wrapper)  # type: ignore[no-untyped-call]
        self.client.apiEnd += self.disconnectedEvent

    def complaints_about(self, trade: Trade) -> list[Complaint]:
        """Return what TWS said about an order of this client, oldest first."""
        mine = trade.order.clientId == self.wrapper.clientId
        return list(self.wrapper.complaints.get(trade.order.orderId, ())) if mine and trade.order.orderId > 0 else []


@dataclass(frozen=True)
class TwsOrders:
    """The orders that TWS lists when it is asked: those that work, and those that are over."""

    working: Sequence[Trade]
    over: Sequence[Trade]

    def find(self, client_order_id: str) -> Trade | None:
        """Return the order of a reference: one that works before one that is over, the newest of several."""
        for trades in (self.working, self.over):
            found = [trade for trade in trades if trade.order.orderRef == client_order_id]
            if found:
                return found[-1]
        return None
