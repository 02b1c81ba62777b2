"""What Feast knows: the entity, the view and the service, all from `core.frames.FEATURES`. Defines names and types; no values.

A feature that changes its meaning gets a new name, and a model that uses other features a new service: models in the registry
go on asking for the service they were trained with.
"""

from __future__ import annotations

from datetime import timedelta

from feast import Entity, FeatureService, FeatureView, Field, ValueType
from feast.infra.offline_stores.contrib.postgres_offline_store.postgres_source import PostgreSQLSource
from feast.types import Float64, UnixTimestamp

from core.frames import FEATURES

symbol = Entity(name="symbol", join_keys=["symbol"], value_type=ValueType.STRING, description="Normalised ticker")

# `feature_timestamp` repeats the event time as a value: a point-in-time join otherwise cannot tell a row of this session from
# the last one before a gap.
source = PostgreSQLSource(
    name="market_features",
    query="SELECT *, event_timestamp AS feature_timestamp FROM features.market_features",
    timestamp_field="event_timestamp",
    created_timestamp_column="created_timestamp",
)

market_features = FeatureView(
    name="market_features",
    entities=[symbol],
    ttl=timedelta(days=14),  # longer than any closure of the exchange since 1990; bounds the join, not the serving
    schema=[Field(name="feature_timestamp", dtype=UnixTimestamp), *(Field(name=name, dtype=Float64) for name in FEATURES)],
    source=source,
    online=True,
    description="Daily scale-free indicators and the VIX regime, known after the close of the session",
)

entry_filter_v1 = FeatureService(name="entry_filter_v1", features=[market_features], description="Inputs of the entry filter")

DEFINITIONS = [symbol, source, market_features, entry_filter_v1]
