"""Settings of databases, servers and mail: one model for each component."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, SecretStr

from core.configuration.kinds import AlertUrls, ApiKeys, Group, Names


class Database(Group):
    """PostgreSQL."""

    url: SecretStr | None = Field(
        None,
        description="PostgreSQL server: postgresql://user:password@host:5432/desk. Empty: an embedded server in DATA_DIR.",
    )
    name: str = Field("desk", description="Database of the desk. A name in DATABASE__URL takes precedence.")
    feast_name: str = Field("feast", description="Database of the online features and of Feast's registry.")
    mlflow_name: str = Field("mlflow", description="Database of MLflow.")
    airflow_name: str = Field("airflow", description="Database of Airflow.")


class Api(Group):
    """The prediction API (docs/serving.md)."""

    url: str = Field("http://127.0.0.1:8000", description="Address at which the desk's own tasks reach the API.")
    max_feature_age_sessions: int = Field(3, ge=0, description="Age of features above which a request is refused with 409.")
    champion_poll_seconds: float = Field(
        2.0, gt=0, le=10, description="Seconds between two checks for a new champion or challenger."
    )
    queue_rows: int = Field(50_000, ge=1, description="Predictions that may wait for storage; the API answers 503 above that.")
    read_keys: ApiKeys = Field(
        (),
        description="Keys that may read and predict, 20 characters or more. Empty: only this machine may. "
        "docker-compose.yml needs one.",
    )
    control_keys: ApiKeys = Field(
        (), description="Keys that may also change parameters and halt trading. Empty: nobody may through the API."
    )
    reads_per_second: float | None = Field(
        None, gt=0, description="Requests a second that each key or address may make. Empty: no limit."
    )
    controls_per_minute: float = Field(60, gt=0, description="Control requests a minute that each key or address may make.")
    event_listeners: int = Field(50, ge=0, description="Listeners of GET /events at once; the API answers 503 above that.")


class Dashboard(Group):
    """The dashboard (docs/dashboard.md). Its process reads these variables by itself; it imports nothing of the desk."""

    api_url: str | None = Field(None, description="Address at which the dashboard reaches the API. Empty: that of `make up`.")
    read_key: SecretStr | None = Field(
        None, description="Read key of the dashboard, one of API__READ_KEYS. Empty: the first of them, if any."
    )
    timeout_seconds: float = Field(10.0, gt=0, description="Seconds after which the API counts as not answering.")
    refresh_seconds: float = Field(30.0, ge=1, description="Seconds between two refreshes of an open page.")
    hosts: Names = Field(
        (), description="Names under which browsers reach the dashboard beside 127.0.0.1 and localhost: those of a proxy."
    )
    airflow_url: str | None = Field(None, description="Address of Airflow's UI in links. Empty: that of `make up`.")
    mlflow_url: str | None = Field(None, description="Address of MLflow's UI in links. Empty: that of `make up`.")


class Ports(Group):
    """Ports on loopback under `make up`."""

    api: int = Field(8000, description="Port of the prediction API.")
    airflow: int = Field(8080, description="Port of the Airflow UI.")
    mlflow: int = Field(5000, description="Port of the MLflow UI.")
    dashboard: int = Field(8501, description="Port of the dashboard.")


class Mail(Group):
    """Alerts by e-mail. Without MAIL__HOST and MAIL__RECIPIENTS every alert is only logged."""

    host: str | None = Field(None, description="Mail server.")
    port: int = Field(25, description="Port of the mail server.")
    user: str | None = Field(None, description="User of the mail server.")
    password: SecretStr | None = Field(None, description="Password of the mail server.")
    starttls: bool = Field(False, description="1 switches to TLS after connecting.")
    sender: str = Field("desk@localhost", description="Sender of the alerts.")
    recipients: Names = Field((), description="Recipients of the alerts.")


class AlertChannels(Group):
    """Alerts to chat and push services beside e-mail, and their reminders (docs/operating.md, Alerts)."""

    urls: AlertUrls = Field(
        (),
        description="Services that get alerts, as Apprise's addresses: slack://..., tgram://..., discord://..., ntfys://..., "
        "jsons://... for a webhook. Write a comma within one as %2C.",
    )
    timeout_seconds: float = Field(20.0, gt=0, le=120, description="Seconds after which a channel counts as not reached.")
    min_severity: Literal["info", "warning", "critical"] = Field(
        "warning", description="Least severity that goes to ALERTS__URLS. Mail gets every alert."
    )
    remind_hours: float = Field(24.0, gt=0, description="Hours after which an alert that nobody acknowledged is sent again.")


class Health(Group):
    """Limits of the health check (docs/operating.md, Alerts)."""

    min_free_gb: float = Field(2.0, ge=0, description="Least free space of the disk that holds DATA_DIR, in GB.")
    min_free_pct: float = Field(5.0, ge=0, lt=100, description="Least free space of that disk, in percent.")
    data_grace_minutes: float = Field(
        120.0, ge=0, description="Minutes that bars and features of a session may come after the daily load has begun."
    )
    max_queued_minutes: float = Field(
        60.0, gt=0, description="Minutes that an order may wait unsent, and a task of Airflow in the queue."
    )
    max_key_age_days: float | None = Field(
        None, gt=0, description="Age of the installation's secrets file from which it is to be renewed. Empty: not checked."
    )
