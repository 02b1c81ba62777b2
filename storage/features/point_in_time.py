"""Feast's PostgreSQL offline store with a point-in-time join of our own: one look-up in the primary key for each entity row.

The answers are those of Feast's own join to the last bit, and a test compares them.
Feast loads the class by the name in `feature_repo/feature_store.yaml`; nothing else imports it.

Feast's join gathers every row within the view's ttl of every entity row, ranks them all and joins the best back; entities go
out row by row and features come back value by value. Here each entity row asks the index (key, event, created) for the newest
row known to it; entities go out as arrays of one statement and features come back through COPY.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
from feast.infra.offline_stores.contrib.postgres_offline_store.postgres import (
    PostgreSQLOfflineStore,
    PostgreSQLOfflineStoreConfig,
    PostgreSQLRetrievalJob,
)
from feast.infra.offline_stores.offline_utils import (
    get_entity_df_timestamp_bounds,
    get_feature_view_query_context,
    infer_event_timestamp_from_entity_df,
)
from feast.infra.utils.postgres.connection_utils import _get_conn
from feast.types import from_feast_to_pyarrow_type
from psycopg import sql

if TYPE_CHECKING:
    from feast import FeatureView, RepoConfig
    from feast.infra.offline_stores.offline_store import RetrievalJob
    from feast.infra.offline_stores.offline_utils import FeatureViewQueryContext
    from feast.infra.registry.base_registry import BaseRegistry
    from psycopg import Cursor

NAME = "storage.features.point_in_time.PointInTimeOfflineStore"
ROWS_A_STATEMENT = 50_000  # bounds the memory of a long read
POSITION = "entity_position"
LOOK_UP = """
COPY (
    SELECT asked.position, {features}
    FROM unnest(%s::text[], %s::timestamptz[], %s::bigint[]) AS asked (key, at, position)
    LEFT JOIN LATERAL (
        SELECT * FROM {source} AS stored
        WHERE stored.{key} = asked.key AND {in_reach}
        ORDER BY {newest_first}
        LIMIT 1
    ) AS known ON TRUE
) TO STDOUT (FORMAT csv)
"""


class PointInTimeOfflineStoreConfig(PostgreSQLOfflineStoreConfig):
    """Feast's settings of a PostgreSQL offline store, under this store's name."""

    type: Literal["storage.features.point_in_time.PointInTimeOfflineStore"] = NAME  # type: ignore[assignment]


class PointInTimeOfflineStore(PostgreSQLOfflineStore):
    """Look-ups for entity rows in a frame, of one view with one text key; anything else goes to Feast's join."""

    @staticmethod
    def get_historical_features(  # noqa: PLR0917  # Feast's interface
        config: RepoConfig,
        feature_views: list[FeatureView],
        feature_refs: list[str],
        entity_df: pd.DataFrame | str | None,
        registry: BaseRegistry,
        project: str,
        full_feature_names: bool = False,
        filter_by_created_timestamp: bool = False,
        **kwargs: Any,  # noqa: ANN401
    ) -> RetrievalJob:
        """See `feast.infra.offline_stores.offline_store.OfflineStore.get_historical_features`."""
        request = (config, feature_views, feature_refs, entity_df, registry, project, full_feature_names)
        theirs = PostgreSQLOfflineStore.get_historical_features(*request, filter_by_created_timestamp, **kwargs)
        single = len(feature_views) == 1 and len(feature_views[0].join_keys) == 1
        if not isinstance(entity_df, pd.DataFrame) or not single or full_feature_names:
            return theirs
        event = infer_event_timestamp_from_entity_df(dict(entity_df.dtypes))
        period = get_entity_df_timestamp_bounds(entity_df, event)
        (view,) = get_feature_view_query_context(feature_refs, feature_views, registry, project, period)
        types = {field.name: from_feast_to_pyarrow_type(field.dtype) for field in feature_views[0].features}
        return LookUps(
            _statement(view, filter_by_created_timestamp),
            entity_df,
            order=[*view.entities, event],
            columns={name: types[name] for name in (view.field_mapping.get(name, name) for name in view.features)},
            config=config,
            full_feature_names=full_feature_names,
            on_demand_feature_views=theirs.on_demand_feature_views,
            metadata=theirs.metadata,
        )


class LookUps(PostgreSQLRetrievalJob):
    """Entity rows as given, each with the newest row that it may know, or nulls."""

    def __init__(
        self,
        statement: sql.Composed,
        entities: pd.DataFrame,
        order: list[str],
        columns: dict[str, pa.DataType],
        **job: Any,  # noqa: ANN401  # what Feast's own job takes
    ) -> None:
        super().__init__(statement.as_string(), **job)
        self._statement = statement
        self._entities = entities
        self._order = order
        self._columns = {POSITION: pa.int64(), **columns}

    def _to_arrow_internal(self, timeout: int | None = None) -> pa.Table:  # noqa: ARG002  # Feast's own store ignores it too
        with _get_conn(self.config.offline_store) as connection, connection.cursor() as cursor:
            connection.read_only = True
            parts = [self._known(cursor, part) for part in self._batches()]
        features = pa.concat_tables(parts).sort_by(POSITION).drop_columns(POSITION)
        table = pa.Table.from_pandas(self._entities, preserve_index=False)
        for name in features.column_names:
            table = table.append_column(name, features[name])
        return table

    def _batches(self) -> list[pd.DataFrame]:
        """Key, instant and position of the entity rows, neighbours in the index together."""
        keys = self._entities[self._order].assign(position=np.arange(len(self._entities)))
        ordered = keys.sort_values(self._order)
        return [ordered[first : first + ROWS_A_STATEMENT] for first in range(0, len(ordered), ROWS_A_STATEMENT)]

    def _known(self, cursor: Cursor[Any], part: pd.DataFrame) -> pa.Table:
        with cursor.copy(self._statement, [part[name].tolist() for name in part]) as answer:
            content = b"".join(answer)
        return pyarrow.csv.read_csv(
            pa.BufferReader(content),
            pyarrow.csv.ReadOptions(column_names=list(self._columns)),
            convert_options=pyarrow.csv.ConvertOptions(
                column_types=self._columns, null_values=[""], strings_can_be_null=True, quoted_strings_can_be_null=False
            ),
        )


def _statement(view: FeatureViewQueryContext, known_only: bool) -> sql.Composed:
    """The look-up of one view: newest event first, of one event the newest version."""
    event, created = sql.Identifier(view.timestamp_field), view.created_timestamp_column
    in_reach = [sql.SQL("stored.{} <= asked.at").format(event)]
    newest_first = [sql.SQL("stored.{} DESC").format(event)]
    if view.ttl:
        in_reach.append(sql.SQL("stored.{} >= asked.at - {} * interval '1 second'").format(event, sql.Literal(view.ttl)))
    if created:
        newest_first.append(sql.SQL("stored.{} DESC").format(sql.Identifier(created)))
    if created and known_only:
        in_reach.append(sql.SQL("stored.{} <= asked.at").format(sql.Identifier(created)))
    return sql.SQL(LOOK_UP).format(
        features=sql.SQL(", ").join(sql.Identifier("known", name) for name in view.features),
        source=sql.SQL(view.table_subquery),
        key=sql.Identifier(view.entities[0]),
        in_reach=sql.SQL(" AND ").join(in_reach),
        newest_first=sql.SQL(", ").join(newest_first),
    )
