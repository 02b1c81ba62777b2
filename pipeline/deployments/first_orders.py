"""The first order of each sleeve of a deployment, as it would be sized today, and what the venue takes of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Self

import numpy as np

from core.errors import ConfigError, UnknownSymbol
from pipeline.sleeves import sleeve_strategy
from trading.orders import entry_order, exact
from trading.sizing import quantity

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Mapping, Sequence

    from backtest.engine import Result
    from core.deployments import Deployment, Sleeve
    from core.models import OrderIntent
    from pipeline.resources import Resources
    from trading.brokers.base import Broker
    from trading.brokers.placing import Patience
    from trading.risk import Limits

PAPER: Final = "paper"


@dataclass(frozen=True)
class FirstOrders:
    """Sizes the first order of each sleeve of a deployment.

    Attributes
    ----------
    price_at
        Newest close of a symbol at or before a day, None when there never was one.
    stop_required
        True when the risk profile asks for a stop.
    """

    broker: Broker
    patience: Patience
    limits: Limits
    price_at: Callable[[str, dt.date], float | None]
    stop_required: bool

    @classmethod
    def of(cls, resources: Resources) -> Self:
        """Build from the desk of the deployment."""
        stop_required = resources.settings.risk.stop_required
        return cls(resources.broker, resources.patience, resources.limits, resources.mark_at, stop_required)

    def notes(self, wanted: Deployment, results: Mapping[str, Result], last: dt.date) -> list[str]:
        """Return the size of each sleeve's first order in words.

        Raises
        ------
        ConfigError
            When a sleeve's capital buys no unit that the venue takes, or it has no stop and the risk profile asks for one.
        """
        notes: list[str] = []
        for sleeve in wanted.sleeves:
            stop_pct = typical_stop_pct(results[sleeve.name], sleeve)
            if stop_pct is None and self.stop_required:
                raise ConfigError(
                    f"Sleeve {sleeve.name!r} has no stop, and the risk profile {wanted.profile} asks for one. Give the "
                    "strategy a stop_pct, or deploy it with another --profile."
                )
            for symbol in sleeve.symbols:
                notes += self._size(sleeve, symbol, stop_pct, last)
        return notes

    def _size(self, sleeve: Sleeve, symbol: str, stop_pct: float | None, last: dt.date) -> Sequence[str]:
        price = self.price_at(symbol, last)
        if price is None:
            raise UnknownSymbol(symbol)
        decided = quantity(
            price,
            float("nan") if stop_pct is None else stop_pct,
            sleeve.capital_usd,
            sleeve.capital_usd * self.limits.max_exposure_pct / 100,
            self.limits.risk_per_trade_pct,
            self.limits.max_position_pct,
        )
        instrument = self.patience.retrying()(self.broker.instrument, symbol)
        order = _probe(sleeve, symbol, last, decided)
        sized = replace(order, quantity=instrument.rounded(order.quantity))
        if decided <= 0 or instrument.objection(sized, exact(price)) is not None:
            raise ConfigError(
                f"Sleeve {sleeve.name!r}: ${sleeve.capital_usd:,.2f} buys no unit of {symbol} at ${price:,.2f}: an order of "
                f"${decided * price:,.2f} is under what {self.broker.name} takes. Give it more capital, or leave it out."
            )
        usd = float(sized.quantity) * price
        words = f"{sleeve.name}: {sized.quantity.normalize():f} {symbol} at ${price:,.2f} = ${usd:,.2f}."
        if sized.quantity % 1 == 0 or self.broker.name == PAPER or stop_pct is None:
            return [words]
        watched = (
            f"{sleeve.name}: {self.broker.name} takes no bracket for a fraction of a share and keeps such an order for a day "
            "alone; the desk watches its stop itself. `desk watch-positions` must run."
        )
        return [words, watched]


def _probe(sleeve: Sleeve, symbol: str, last: dt.date, decided: float) -> OrderIntent:
    return entry_order(
        "plan",
        sleeve.name,
        symbol,
        decision_session=last,
        session=last,
        signed_quantity=max(decided, 1e-9),
        stop_pct=float("nan"),
        target_pct=float("nan"),
        max_sessions=None,
    )


def typical_stop_pct(result: Result, sleeve: Sleeve) -> float | None:
    """Return the median stop of a sleeve's signals, in percent of the price; None when one signal has none."""
    strategy = sleeve_strategy(sleeve)
    stops = np.concatenate(
        [
            signals.stop_pct[signals.entry != 0]
            for signals in (result.panel.signals(strategy, row) for row in range(len(result.panel.symbols)))
        ]
    )
    return float(np.median(stops)) if len(stops) and np.isfinite(stops).all() else None
