"""The report of a portfolio's validation, rule by rule: a table for people, JSON for machines.

A rule that cannot be measured does not pass: it is a finding of its own, and the report is then WARN at best.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

RuleStatus = Literal["PASS", "FAIL", "NOT MEASURABLE"]
Status = Literal["PASS", "WARN", "FAIL"]


@dataclass(frozen=True)
class Finding:
    """The result of one rule.

    Attributes
    ----------
    rule
        Its name, as in docs/portfolio.md.
    limit, found
        In `unit`. The largest value found counts; None when there is none.
    detail
        Which sleeve or pair, and on FAIL what to change.
    """

    rule: str
    limit: float
    found: float | None
    unit: str
    verdict: RuleStatus
    detail: str


@dataclass(frozen=True)
class ValidationReport:
    """Every finding on one portfolio."""

    capital_usd: float
    allocated_usd: dict[str, float]
    findings: tuple[Finding, ...]

    @property
    def status(self) -> Status:
        """FAIL when a rule is broken; WARN when none is but one could not be measured; else PASS."""
        verdicts = {finding.verdict for finding in self.findings}
        if "FAIL" in verdicts:
            return "FAIL"
        return "WARN" if "NOT MEASURABLE" in verdicts else "PASS"

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> ValidationReport:
        """Return the report of `as_dict`."""
        findings = tuple(Finding(**finding) for finding in values["findings"])
        return cls(values["capital_usd"], dict(values["allocated_usd"]), findings)

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for storage; None where nothing was measured."""
        return {"status": self.status, **asdict(self), "findings": [asdict(finding) for finding in self.findings]}

    def summary(self) -> dict[str, str]:
        """Return the status, and the verdict of each rule."""
        return {"status": self.status, **{finding.rule: finding.verdict for finding in self.findings}}

    def to_json(self) -> str:
        """Return the same as JSON."""
        return json.dumps(self.as_dict(), indent=2, allow_nan=False)

    def to_text(self) -> str:
        """Return a table with a line a rule, under the status and above the sleeves' money."""
        rows = [("rule", "limit", "found", "verdict", ""), *map(_row, self.findings)]
        widths = [max(len(row[i]) for row in rows) for i in range(4)]
        table = ["  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[4]]) for row in rows]
        shares = ", ".join(f"{label} {usd:,.2f} USD" for label, usd in self.allocated_usd.items())
        head = f"Validation: {self.status}. {self._counts()}"
        return "\n".join([head, "", *(line.rstrip() for line in table), "", f"Of {self.capital_usd:,.2f} USD: {shares}."])

    def _counts(self) -> str:
        verdicts = [finding.verdict for finding in self.findings]
        parts = {"passed": "PASS", "broken": "FAIL", "not measurable": "NOT MEASURABLE"}
        counted = ", ".join(f"{verdicts.count(verdict)} {word}" for word, verdict in parts.items())  # type: ignore[arg-type]
        return f"Of {len(verdicts)} rules {counted}."


def _row(finding: Finding) -> tuple[str, str, str, str, str]:
    found = "-" if finding.found is None else f"{finding.found:.6g}"
    return finding.rule, f"<= {finding.limit:g} {finding.unit}".rstrip(), found, finding.verdict, finding.detail
