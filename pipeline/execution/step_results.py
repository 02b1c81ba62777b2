"""Results of the steps of the daily trade, one class a step."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class StepResult:
    """Outcome of a step for one session.

    Attributes
    ----------
    session
        ISO date of the session.
    """

    session: str

    def as_dict(self) -> dict[str, Any]:
        """Return the fields as JSON types, for a message between tasks; fields that are None are absent."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    @property
    def refusal(self) -> str | None:
        """Reason why the step left its work undone, without an error; None when it did it."""
        return getattr(self, "reason", None)


@dataclass(frozen=True)
class Settlement(StepResult):
    """Fills that settling or confirming brought into the ledger."""

    fills: int


@dataclass(frozen=True)
class Confirmation(Settlement):
    """The same with the number of the session's orders by state."""

    orders: dict[str, int]


@dataclass(frozen=True)
class SignalsStored(StepResult):
    """Signals stored for the session; `reason` says why stored ones were left as they are."""

    symbols: int = 0
    entries: int = 0
    reason: str | None = None


@dataclass(frozen=True)
class PredictionsStored(StepResult):
    """Predictions stored for the session; `reason` says why stored ones were left as they are."""

    predictions: int = 0
    accepted: int = 0
    reason: str | None = None


@dataclass(frozen=True)
class Placement(StepResult):
    """Orders of the session's decision.

    Attributes
    ----------
    for_session
        ISO date of the session at whose open they are filled; `for` in the dict.
    placed
        Orders that this call sent.
    refusals
        Number of candidates refused by each reason.
    """

    for_session: str
    orders: int = 0
    placed: int = 0
    refused: int = 0
    refusals: dict[str, int] = field(default_factory=dict)
    reason: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return the fields as JSON types, for a message between tasks; fields that are None are absent."""
        return {("for" if name == "for_session" else name): value for name, value in super().as_dict().items()}


@dataclass(frozen=True)
class ValueRecorded(StepResult):
    """Value of the portfolio at the session's close; None where an earlier record stands, with the reason."""

    trades: int
    equity_usd: float | None = None
    positions: int | None = None
    reason: str | None = None


@dataclass(frozen=True)
class MailSent(StepResult):
    """Mail of the session's evening; `reason` says why it was not sent."""

    sent: bool
    subject: str
    reason: str | None = None
