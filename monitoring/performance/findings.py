"""Findings of the performance checks, and the alerts and mail lines made of them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from monitoring.performance.expectation import SUM

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from monitoring.alerts import Severity

Verdict = Literal["ok", "alert", "not enough"]
OK: Final = "ok"
ALERT: Final = "alert"
NOT_ENOUGH: Final = "not enough"

MODEL_AGE: Final = "model_age"
WIN_RATE: Final = "win_rate"
DRAWDOWN: Final = "drawdown"
PROFIT: Final = "profit_per_trade"
SHARPE: Final = "sharpe"
FREQUENCY: Final = "trade_frequency"
CORRELATION: Final = "correlation"
NO_TRADE: Final = "no_trade"
KINDS: Final = (MODEL_AGE, WIN_RATE, DRAWDOWN, PROFIT, SHARPE, FREQUENCY, CORRELATION, NO_TRADE)


@dataclass(frozen=True)
class Finding:
    """The answer of one check. Every check gives one, also where nothing can be said.

    Attributes
    ----------
    kind
        One of `KINDS`.
    sleeve
        The sleeve concerned, "" for the whole book.
    measured, asked, interval
        The figure, the limit it is compared with, and its interval, in one unit; None where not defined.
    n
        Observations behind the figure.
    text
        The finding in a sentence.
    p_value
        Of a sequential test: the probability of a deviation as large at any look, were the promise kept.
    """

    kind: str
    sleeve: str
    verdict: Verdict
    measured: float | None
    asked: float | None
    interval: tuple[float, float] | None
    n: int
    text: str
    p_value: float | None = None

    @property
    def may_be_luck(self) -> bool:
        """True of an alert on a win rate whose interval includes the limit."""
        return self.kind == WIN_RATE and self.interval is not None and self.asked is not None and self.interval[1] >= self.asked

    @property
    def severity(self) -> Severity:
        """Urgency of the alert."""
        return "critical" if self.kind == DRAWDOWN else "info" if self.may_be_luck else "warning"

    def as_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)


class PerformanceAlert(NamedTuple):
    """One alert: `key` stays the same for as long as the finding lasts."""

    key: str
    severity: Severity
    subject: str
    body: str

    @property
    def sentence(self) -> str:
        """Subject and finding in one line."""
        return f"{self.subject}: {self.body.splitlines()[0]}"


def not_enough(kind: str, sleeve: str, asked: float | None, n: int, text: str) -> Finding:
    """Return the finding of a check that has too little to go on."""
    return Finding(kind, sleeve, NOT_ENOUGH, None, asked, None, n, text)


def alerts_of(findings: Iterable[Finding]) -> list[PerformanceAlert]:
    """Return an alert for each finding that is one."""
    return [
        PerformanceAlert(
            key=f"{each.kind}:{each.sleeve}" if each.sleeve else each.kind,
            severity=each.severity,
            subject=f"Performance of {each.sleeve or 'the book'}: {each.kind.replace('_', ' ')}",
            body=f"{each.text}\nSee docs/performance.md.",
        )
        for each in findings
        if each.verdict == ALERT
    ]


def mail_lines(findings: Sequence[Finding]) -> list[str]:
    """Return the section of the daily mail: alerts first, then what cannot be judged yet, then how many checks are in order."""
    lines = [f"{_title(each)}: {each.text}" for each in findings if each.verdict == ALERT]
    waiting = [_title(each) for each in findings if each.verdict == NOT_ENOUGH]
    if waiting:
        lines.append(f"Not enough to judge: {', '.join(waiting)}.")
    fine = sum(each.verdict == OK for each in findings)
    return [*lines, f"{fine} of {len(findings)} checks in order."]


def _title(finding: Finding) -> str:
    words = finding.kind.replace("_", " ")
    return words if finding.sleeve == SUM else f"{words} of {finding.sleeve}"
