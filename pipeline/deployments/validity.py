"""The validation of a deployment: the one of its own portfolio, and no other, decides whether it may open positions."""

from __future__ import annotations

import datetime as dt
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import structlog

from core.errors import DeskError, RetryLater
from pipeline.research.portfolio_validation import validate_portfolio
from pipeline.resources import Resources, live

if TYPE_CHECKING:
    from core.deployments import Deployment
    from storage.research.portfolios import Portfolios

log = structlog.get_logger()
RENEW_DAYS = 7  # before the last validation is too old, the evening makes a new one


def objection(deployment: Deployment | None, portfolios: Portfolios, day: dt.date, max_age_days: int) -> str | None:
    """Return why a deployment may not open positions for its validation; None when it may, or when it has no portfolio.

    Parameters
    ----------
    max_age_days
        Most calendar days since its last validation.
    """
    if deployment is None or deployment.portfolio_id is None:
        return None
    number = deployment.portfolio_id
    last = portfolios.latest_validation(number, by=day)
    remedy = f"Run `desk validate-risk --portfolio {number}` and read its report."
    if last is None:
        return f"Portfolio {number} of {deployment.name} was never validated. {remedy}"
    if last.status == "FAIL":
        return f"Portfolio {number} of {deployment.name} failed its validation of {last.session}. {remedy}"
    age = (day - last.session).days
    if age > max_age_days:
        return (
            f"Portfolio {number} of {deployment.name} was validated {age} days ago, on {last.session}; {max_age_days} are "
            f"allowed. {remedy}"
        )
    return None


@dataclass(frozen=True)
class ValidationRenewed:
    """The validation that a deployment stands on after its evening's renewal.

    Attributes
    ----------
    session
        ISO date of the evening's session.
    renewed
        True when this call made the validation.
    status, of
        PASS, WARN or FAIL, and the ISO date of the validation's session; None without a validation.
    reason
        Why none was made; None when it was.
    """

    session: str
    renewed: bool = False
    status: str | None = None
    of: str | None = None
    reason: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return the fields as JSON types, for a message between tasks; fields that are None are absent."""
        return {name: value for name, value in asdict(self).items() if value is not None}


def renew_validation(session: str, *, resources: Resources | None = None) -> ValidationRenewed:
    """Validate the deployment's portfolio again where its last validation is nearly too old.

    It is validated as `desk validate-risk` does, under the desk's settings, so that all deployments of a portfolio share one
    validation. When that is impossible, an alert gives the reason, the last validation stands and exits go on.
    """
    resources = resources or live()
    made = resources.deployment
    if made is None or made.portfolio_id is None:
        return ValidationRenewed(session, reason="it trades no portfolio")
    last = resources.portfolios.latest_validation(made.portfolio_id)
    standing = ValidationRenewed(session) if last is None else ValidationRenewed(session, False, last.status, str(last.session))
    if not made.enters:
        return replace(standing, reason=f"it is {made.state}")
    day, renew_after = dt.date.fromisoformat(session), resources.settings.validation.max_age_days - RENEW_DAYS
    if last is not None and (day - last.session).days < renew_after:
        return replace(standing, reason=f"it is renewed from an age of {renew_after} days on")
    try:
        report = validate_portfolio(session, made.portfolio_id, resources=resources.parent or resources)
    except RetryLater:
        raise
    except DeskError as error:
        log.exception("validation_not_renewed", deployment=made.name, portfolio=made.portfolio_id)
        subject = f"Portfolio {made.portfolio_id} of {made.name} could not be validated again"
        resources.alerts.send(subject, f"{error}\nIts last validation decides until then; exits go on.")
        return replace(standing, reason=str(error))
    if report.status == "FAIL":
        subject = f"Portfolio {made.portfolio_id} of {made.name} fails its validation"
        resources.alerts.send(subject, f"Nothing is opened. Run `desk validate-risk --portfolio {made.portfolio_id}`.")
    return ValidationRenewed(session, renewed=True, status=report.status, of=session)
