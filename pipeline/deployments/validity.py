"""The validation of a deployment: the one of its own portfolio, and no other, decides whether it may open positions."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from pipeline.research.portfolio_validation import validate_portfolio
from pipeline.resources import Resources, live

if TYPE_CHECKING:
    from core.deployments import Deployment
    from pipeline.resources import Resources
    from storage.research.portfolios import Portfolios

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


def renew_validation(session: str, *, resources: Resources | None = None) -> str:
    """Validate the deployment's portfolio again where its last validation will soon be too old; return what was done."""
    resources = resources or live()
    deployment = resources.deployment
    if deployment is None or deployment.portfolio_id is None:
        return "no portfolio"
    day = dt.date.fromisoformat(session)
    last = resources.portfolios.latest_validation(deployment.portfolio_id, by=day)
    if last is not None and (day - last.session).days < resources.settings.validation.max_age_days - RENEW_DAYS:
        return f"{last.status} of {last.session}"
    return f"{validate_portfolio(session, deployment.portfolio_id, resources=resources).status} of {session}"
