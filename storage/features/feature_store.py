"""The feature store: Feast with an offline store (every version), an online store (the newest) and a registry in PostgreSQL.

Nothing else imports Feast, and it is imported only on use: that takes three seconds. Feast 0.67 reports
no usage to anyone.

What a model may see of session t is what was known when the order for t+1 had to go: `training_frame` joins as of the next
open, on both the event and the created timestamp. A correction that arrived later does not exist for it.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import importlib.util
import io
import string
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import sqlalchemy as sa
import structlog
import yaml

from core.errors import ConfigError, DataError
from core.folders import data_folder
from core.frames import FEATURES
from core.sessions import calendar, calendar_name, close_of
from storage.engine import cluster_url, open_engine
from storage.features.feature_rows import FeatureRows
from storage.features.tables import materialisations

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from types import ModuleType

    from feast import FeatureStore
    from sqlalchemy import Engine

    from core.settings import Settings

log = structlog.get_logger()
FEATURE_REPO = "feature_repo"
VIEW = "market_features"
SERVICE = "entry_filter_v1"
FIRST_EVENT = dt.datetime(1990, 1, 1, tzinfo=dt.UTC)
# Around the clock the next open is the close itself: decide once the bar and its lag have passed.
SHORTEST_WAIT = pd.Timedelta(minutes=30)
APPLY_LOCK = 7_103_221


def feast_environment(settings: Settings) -> dict[str, str]:
    """Compute the variables of `feature_repo/feature_store.yaml`, as the `feast` command line needs them."""
    offline = sa.make_url(cluster_url(settings, settings.database.name))
    online = sa.make_url(cluster_url(settings, settings.database.feast_name))
    return {
        "FEAST_REGISTRY_URL": online.render_as_string(hide_password=False),
        "FEAST_HOST": str(online.query.get("host") or online.host or "localhost"),
        "FEAST_PORT": str(online.query.get("port") or online.port or 5432),
        "FEAST_USER": online.username or "postgres",
        "FEAST_PASSWORD": online.password or "",
        "FEAST_SSLMODE": str(online.query.get("sslmode") or "prefer"),
        "FEAST_OFFLINE_DATABASE": str(offline.database),
        "FEAST_ONLINE_DATABASE": str(online.database),
    }


class FeastStore:
    """Features for training and for serving.

    Parameters
    ----------
    settings
        Name the cluster and the databases.
    clock
        The present moment; tests pass their own.
    """

    def __init__(self, settings: Settings, clock: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC)) -> None:
        self._settings = settings
        self._clock = clock

    def apply(self) -> None:
        """Register entity, view and service, and create the online table; safe to repeat and to run twice at once."""
        store = self._feast  # before the lock: creating it takes the same one
        with self._one_at_a_time():
            store.apply(_definitions().DEFINITIONS)

    def write_offline(self, frame: pd.DataFrame) -> int:
        """Add new and changed feature rows (`FEATURE_FRAME`) to the offline store; returns how many were added."""
        return FeatureRows(self._engine).write(frame, self._clock())

    def materialise(self, end: dt.date | dt.datetime, start: dt.date | dt.datetime = FIRST_EVENT) -> None:
        """Make the online store show each symbol's newest features with an event in `start` to `end`, both included.

        A date stands for the close of that session. The outcome depends on `end` and the offline store alone, so an earlier
        `end` than last time takes the online store back, which a replay wants; the log says so.
        """
        until = _moment(end)
        with _registered():
            shown = self._feast.get_feature_view(VIEW).most_recent_end_time
        if shown is not None and shown > until:
            log.warning("online_store_taken_back", shown_until=shown.isoformat(), until=until.isoformat())
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):  # Feast's progress bar
            self._feast.materialize(_moment(start), until, feature_views=[VIEW])
        with self._engine.begin() as connection:
            connection.execute(sa.insert(materialisations).values(until=until))

    def training_frame(self, entities: pd.DataFrame) -> pd.DataFrame:
        """Return the features of each decision, point-in-time: as known when it had to be made.

        Parameters
        ----------
        entities
            Columns symbol and event_timestamp, the close (UTC) of the bar decided on. An optional column known_by (UTC) says
            when the decision was made; without it, the next open.

        Returns
        -------
        pd.DataFrame
            Columns symbol, event_timestamp and FEATURES, in the order given. All features are NaN where none of that very
            session were known in time: an older row never stands in.
        """
        if entities.empty:
            return _blank(entities[["symbol", "event_timestamp"]])
        decisions = pd.DataFrame(
            {
                "symbol": entities["symbol"].to_numpy(),
                "event_timestamp": _known_by(entities),
                "position": np.arange(len(entities)),
            }
        )
        joined = self._join(decisions).sort_values("position", ignore_index=True)  # Feast promises no order
        in_time = pd.to_datetime(joined["feature_timestamp"], utc=True) == entities["event_timestamp"].reset_index(drop=True)
        if not in_time.all():
            log.warning("features_not_known_in_time", rows=int((~in_time).sum()), of=len(joined))
        features = joined[list(FEATURES)].astype("float64").where(in_time, np.nan)
        keys = entities[["symbol", "event_timestamp"]].reset_index(drop=True)
        return pd.concat([keys, features], axis=1)

    def online(self, symbols: Sequence[str]) -> pd.DataFrame:
        """Return the newest materialised features of each symbol.

        Returns
        -------
        pd.DataFrame
            Columns symbol, event_timestamp (UTC; NaT for a symbol the store does not know) and FEATURES, in the order asked.
        """
        from psycopg import OperationalError

        try:
            return self._online(symbols)
        except OperationalError as error:
            log.warning("online_store_reconnects", reason=str(error))
            self._forget()
            return self._online(symbols)

    def materialisation(self) -> int:
        """Return the number of the newest materialisation; it rises with each, and 0 stands for none. One small query."""
        with self._engine.connect() as connection:
            return int(connection.execute(sa.select(sa.func.coalesce(sa.func.max(materialisations.c.id), 0))).scalar_one())

    def count(self) -> int:
        """Return the number of feature rows in the offline store, every version counted."""
        return FeatureRows(self._engine).count()

    def last_event(self) -> dt.datetime | None:
        """Return the event timestamp (UTC) of the newest feature row in the offline store; None when it is empty."""
        return FeatureRows(self._engine).last_event()

    def close(self) -> None:
        """Close every connection."""
        self._forget()
        if "_engine" in vars(self):  # a cached property that nobody used opens nothing
            self._engine.dispose()
            del self._engine

    @cached_property
    def _engine(self) -> Engine:
        return open_engine(self._settings)

    @cached_property
    def _feast(self) -> FeatureStore:
        """Feast's own object; creating it creates the registry's tables."""
        from feast import FeatureStore, RepoConfig

        variables = feast_environment(self._settings)
        content = yaml.safe_load((data_folder(FEATURE_REPO) / "feature_store.yaml").read_text())
        store = FeatureStore(config=RepoConfig(repo_path=data_folder(FEATURE_REPO), **_filled(content, variables)))
        with self._one_at_a_time():
            store.registry  # noqa: B018 - first access creates the tables
        return store

    @contextlib.contextmanager
    def _one_at_a_time(self) -> Iterator[None]:
        """Hold a lock of the cluster: Feast's own set-up does not expect another process."""
        with self._engine.begin() as connection:
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(APPLY_LOCK)))
            yield

    def _forget(self) -> None:
        if "_feast" in vars(self):
            self._feast.registry.write_engine.dispose()  # type: ignore[attr-defined]
            del self._feast

    def _join(self, entities: pd.DataFrame) -> pd.DataFrame:
        with _registered():
            service = self._feast.get_feature_service(SERVICE)
        job = self._feast.get_historical_features(entities, service, filter_by_created_timestamp=True)
        return job.to_df()

    def _online(self, symbols: Sequence[str]) -> pd.DataFrame:
        names = ["feature_timestamp", *FEATURES]
        rows = {"symbol": list(symbols)}
        with _registered():
            answer = self._feast.get_online_features([f"{VIEW}:{name}" for name in names], rows).to_dict()
        columns = {name: np.array(answer[name], dtype="float64") for name in FEATURES}
        events = pd.to_datetime(pd.Series(answer["feature_timestamp"]), utc=True).astype("datetime64[ns, UTC]")
        return pd.DataFrame({"symbol": list(symbols), "event_timestamp": events, **columns})


def _known_by(entities: pd.DataFrame) -> pd.Series[pd.Timestamp]:
    """Return the deadline of each decision: as given, else the first open at or after the close."""
    if "known_by" in entities:
        return entities["known_by"].reset_index(drop=True)
    closes = entities["event_timestamp"].reset_index(drop=True)
    deadlines = closes + SHORTEST_WAIT
    calendars = {symbol: calendar_name(symbol) for symbol in entities["symbol"].unique()}
    names = entities["symbol"].map(calendars).reset_index(drop=True)
    for name in names.unique():
        here = names == name
        opens = calendar(name).opens
        places = opens.searchsorted(closes[here], side="left")
        if (places == len(opens)).any():
            raise DataError(
                f"{name}: expected closes before {opens.iloc[-1]}, found {closes[here].max()}. The calendar ends there."
            )
        next_opens = pd.Series(opens.array[places], index=closes[here].index)
        deadlines[here] = deadlines[here].clip(lower=next_opens)
    return deadlines


def _moment(day: dt.date | dt.datetime) -> dt.datetime:
    """Return the instant itself, or the close of the session."""
    return day if isinstance(day, dt.datetime) else close_of(day)


@contextlib.contextmanager
def _registered() -> Iterator[None]:
    """Raise `ConfigError` with the remedy where Feast's registry is empty: it was dropped, or nothing was registered."""
    from feast.errors import FeatureServiceNotFoundException, FeatureViewNotFoundException

    try:
        yield
    except (FeatureServiceNotFoundException, FeatureViewNotFoundException) as error:
        raise ConfigError(
            f"Feast's registry does not know the desk's features ({error}). Register them: `desk featurize`."
        ) from None


def _blank(keys: pd.DataFrame) -> pd.DataFrame:
    return keys.assign(**dict.fromkeys(FEATURES, np.nan)).astype(dict.fromkeys(FEATURES, "float64"))


def _definitions() -> ModuleType:
    """Load `feature_repo/definitions.py` by path, as the `feast` command does: the folder is no package."""
    path = data_folder(FEATURE_REPO) / "definitions.py"
    spec = importlib.util.spec_from_file_location("feature_repo_definitions", path)
    if spec is None or spec.loader is None or not path.exists():
        raise ConfigError(
            f"Expected Feast's definitions at {path}, found none. Install the wheel again, or run from a checkout."
        )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _filled(value: Any, variables: dict[str, str]) -> Any:  # noqa: ANN401  # a parsed document
    """Replace `${NAME}` in every text of a parsed YAML document."""
    if isinstance(value, dict):
        return {key: _filled(item, variables) for key, item in value.items()}
    return string.Template(value).substitute(variables) if isinstance(value, str) else value
