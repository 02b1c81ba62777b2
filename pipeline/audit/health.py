"""The health check: looks at services, data, queues, disk and keys, and brings the alerts of kind `health` in line.

Every check runs, whatever the others found; one that breaks is itself a finding. Without the database nothing can be recorded:
then one message goes out directly, and again after `ALERTS__REMIND_HOURS`.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

import sqlalchemy as sa
import structlog

from core.errors import DeskError
from monitoring.alert_desk import Finding
from pipeline.audit import health_checks as checks
from pipeline.audit.health_checks import Verdict
from pipeline.bars import VIX
from pipeline.deployments.books import DeployedBooks
from pipeline.execution import service_status
from pipeline.resources import Resources, live
from storage.airflow_tasks import AirflowTasks
from storage.engine import has_database
from storage.features.feature_rows import FeatureRows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from monitoring.alerts import Alerts
    from monitoring.channels import Severity
    from storage.trading.ledger import Ledger
    from storage.trading.position_rules import PositionRules

log = structlog.get_logger()
KIND: Final = "health"
DATABASE: Final = "database"
UNRECORDED: Final = "health-unrecorded"  # in DATA_DIR: a message went out that the database could not take
RUNBOOK: Final = "docs/operating.md, Health check, says what to do."


@dataclass(frozen=True)
class HealthResult:
    """Result of one check: its name, as it should be or not, why, and how severe it is when not."""

    name: str
    healthy: bool
    detail: str
    severity: Severity


@dataclass(frozen=True)
class HealthReport:
    """Results of every check at a moment, and the alerts that came and went for them."""

    at: dt.datetime
    results: tuple[HealthResult, ...]
    raised: tuple[str, ...] = ()
    resolved: tuple[str, ...] = ()

    @property
    def healthy(self) -> bool:
        """True when everything is as it should be."""
        return not self.wrong

    @property
    def wrong(self) -> tuple[HealthResult, ...]:
        """The failed checks."""
        return tuple(each for each in self.results if not each.healthy)

    def as_dict(self) -> dict[str, Any]:
        """Return the report as JSON values."""
        return asdict(self) | {"at": self.at.isoformat()}


class Check(NamedTuple):
    """A check to run; one that needs the database is left out while that does not answer."""

    name: str
    severity: Severity
    run: Callable[[], Verdict]
    needs_database: bool = True


@dataclass(frozen=True)
class HealthChecks:
    """The checks of a desk, the database's first."""

    checks: tuple[Check, ...]

    @classmethod
    def of(cls, resources: Resources) -> Self:
        """Build the checks; nothing is opened before they run."""
        settings, now = resources.settings, resources.clock()
        limits, tracking = settings.health, settings.tracking.uri or ""
        due = checks.due_session(now, limits.data_grace_minutes)
        waits = now - dt.timedelta(minutes=limits.max_queued_minutes)
        secrets = resources.data_dir / "airflow" / "secrets.json"
        served = partial(_check_database, lambda: resources.engine, settings.database.mlflow_name)
        mlflow = partial(checks.check_http, f"{tracking.rstrip('/')}/health") if tracking.startswith("http") else served
        history = Verdict(True, f"PROVIDER={settings.provider} is a finished history")
        finished = history if resources.historical else None
        ready = f"{settings.api.url.rstrip('/')}/readyz"
        return cls(
            (
                Check(DATABASE, "critical", partial(_check_database, lambda: resources.engine), needs_database=False),
                Check("api", "critical", partial(checks.check_http, ready), needs_database=False),
                Check("mlflow", "warning", mlflow, needs_database=mlflow is served),
                *(
                    Check(name, "critical", partial(_check_service, partial(check, resources=resources)))
                    for name, check in service_status.SERVICES.items()
                ),
                Check(
                    "bars",
                    "warning",
                    lambda: finished or checks.check_bars(resources.bars.last_sessions(), [*resources.universe(), VIX], due),
                ),
                Check(
                    "features",
                    "warning",
                    lambda: finished or checks.check_features(FeatureRows(resources.engine).last_event(), due),
                ),
                Check(
                    "orders",
                    "critical",
                    lambda: _check_orders(
                        resources.ledger,
                        resources.position_rules,
                        [each.name for each in DeployedBooks.of(resources).all()],
                        waits,
                        due,
                    ),
                ),
                Check(
                    "airflow-queue",
                    "warning",
                    lambda: checks.check_tasks(
                        AirflowTasks(resources.engine, settings.database.airflow_name).waiting_since(waits),
                        limits.max_queued_minutes,
                    ),
                ),
                Check(
                    "disk",
                    "critical",
                    partial(checks.check_disk, resources.data_dir, limits.min_free_gb, limits.min_free_pct),
                    needs_database=False,
                ),
                Check(
                    "key-age",
                    "warning",
                    partial(checks.check_key_age, secrets, now, limits.max_key_age_days),
                    needs_database=False,
                ),
            )
        )

    def run(self) -> tuple[HealthResult, ...]:
        """Run every check; one that breaks has found that it cannot see."""
        results: list[HealthResult] = []
        database = True
        for check in self.checks:
            if check.needs_database and not database:
                continue
            verdict = _guarded(check.run)
            database &= verdict.healthy or check.name != DATABASE
            results.append(HealthResult(check.name, verdict.healthy, verdict.detail, check.severity))
        return tuple(results)


def check_health(*, alert: bool = True, resources: Resources | None = None) -> HealthReport:
    """Run every check; with `alert`, raise what is wrong, resolve what is over, and remind of what is open."""
    resources = resources or live()
    report = HealthReport(resources.clock(), HealthChecks.of(resources).run())
    for each in report.results:
        (log.info if each.healthy else log.warning)("health", check=each.name, healthy=each.healthy, detail=each.detail)
    if not alert:
        return report
    marker = resources.data_dir / UNRECORDED
    if DATABASE in {each.name for each in report.wrong}:
        _send_unrecorded(report.wrong, marker, report.at, resources.settings.alerts.remind_hours, resources.alerts)
        return report
    marker.unlink(missing_ok=True)
    synced = resources.alert_desk.sync(KIND, "", [finding_of(each) for each in report.wrong])
    resources.alert_desk.remind()
    raised, resolved = (tuple(each.key for each in part) for part in (synced.raised, synced.resolved))
    return HealthReport(report.at, report.results, raised, resolved)


def finding_of(result: HealthResult) -> Finding:
    """Return what is wrong as an alert's text."""
    body = f"{result.name}: {result.detail}.\n{RUNBOOK}"
    return Finding(result.name, f"Health: {result.name} is not well", body, result.severity)


def _guarded(run: Callable[[], Verdict]) -> Verdict:
    try:
        return run()
    except (DeskError, OSError, sa.exc.SQLAlchemyError) as error:
        return Verdict(False, f"cannot be checked ({type(error).__name__}: {str(error).partition(chr(10))[0]})")
    except Exception as error:  # a fault of the check itself must not hide the others
        log.exception("health_check_broken")
        return Verdict(False, f"the check is broken ({type(error).__name__})")


def _check_database(open_engine: Callable[[], sa.Engine], neighbour: str | None = None) -> Verdict:
    """Request one value of the desk's database, or of a neighbour on its server."""
    engine = open_engine()
    if neighbour is not None:
        if not has_database(engine, neighbour):
            return Verdict(True, f"database {neighbour} is not made yet")
        engine = sa.create_engine(engine.url.set(database=neighbour), poolclass=sa.NullPool)
    with engine.connect() as connection:
        connection.execute(sa.select(1))
    return Verdict(True, f"database {engine.url.database} answers")


def _check_service(check: Callable[[], service_status.ServiceStatus]) -> Verdict:
    status = check()
    return Verdict(status.healthy, status.detail)


def _check_orders(ledger: Ledger, rules: PositionRules, books: Iterable[str], waits: dt.datetime, due: dt.date) -> Verdict:
    orders = [pair for book in books for pair in ledger.open_orders(book)]
    decided = rules.decided_at(order.client_order_id for order, _ in orders)
    return checks.check_orders(orders, decided, unsent_before=waits, due=due)


def _send_unrecorded(
    wrong: Sequence[HealthResult], marker: Path, now: dt.datetime, remind_hours: float, alerts: Alerts
) -> None:
    """Send what is wrong without a record, once in `remind_hours`; a file holds the time of the last message that arrived."""
    if marker.exists() and now < dt.datetime.fromisoformat(marker.read_text()) + dt.timedelta(hours=remind_hours):
        return
    body = "\n".join([*(f"{each.name}: {each.detail}." for each in wrong), RUNBOOK])
    if alerts.send("Health: PostgreSQL does not answer", body, "critical"):
        marker.write_text(now.isoformat())
