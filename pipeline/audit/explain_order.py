"""Explain an order: everything on record about it, from its fills down to the versions of its bars.

`explain` reads the records; with `replay` it also computes the decision again, point-in-time, and compares bit for bit. What
the records do not link is stated, never guessed.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from core.errors import DataError, NoChampion
from core.models import Leg
from pipeline.audit.decision_replay import DecisionInputs
from pipeline.audit.recompute_order import Recomputation, entry_of
from pipeline.resources import Resources, live

if TYPE_CHECKING:
    from collections.abc import Callable

    from ml.tracking.aliases import Version
    from ml.tracking.registry import Registry
    from storage.trading.lineage import Lineage, Row

SERVED_COLUMNS = ("id", "served_at", "arm", "source", "feature_hash", "latency_us")
NO_DAG = "No DAG run: the order was decided from a terminal, or before runs were kept."
NO_SIGNAL = {
    "venue": "the venue closed the position at its stop or target.",
    "watch": "the desk watched the stop and target and closed the position there.",
    "risk": "the position was closed for risk.",
    "other": "no strategy decided it, or it is older than the records of evidence.",
}
NO_CODE = "No code commit: the order is older than the record of commits."


class NoSuchOrder(DataError):
    """No order has that id, or several have that prefix."""


@dataclass(frozen=True)
class OrderExplanation:
    """Everything on record about an order.

    Attributes
    ----------
    entry_order
        Of an exit: id of the entry that it closes.
    not_linked
        What the records do not link, in sentences.
    recomputed
        Comparison with the signal, features, score and decision computed again; None unless it was requested.
    """

    order: Row
    events: list[Row]
    fills: list[Row]
    entry_order: str | None
    signal: Row | None
    prediction: Row | None
    model: dict[str, Any] | None
    features: Row | None
    served: Row | None
    bars: dict[str, Any] | None
    validation: Row | None
    code: dict[str, Any]
    not_linked: list[str]
    recomputed: dict[str, Any] | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return the parts as JSON values; `recomputed` is present when it was requested."""
        parts = {each.name: getattr(self, each.name) for each in fields(self)}
        if self.recomputed is None:
            del parts["recomputed"]
        plain: dict[str, Any] = _plain(parts)
        return plain


def explain(client_order_id: str, *, replay: bool = False, resources: Resources | None = None) -> OrderExplanation:
    """Return everything on record about an order.

    Parameters
    ----------
    client_order_id
        The order's id, or a prefix of it that no other order shares.
    replay
        Also compute signal, features, score and decision again, point-in-time.

    Raises
    ------
    NoSuchOrder
        When there is no such order, or several.
    """
    resources = resources or live()
    lineage = resources.lineage
    order = _order(lineage, client_order_id)
    page = _page(lineage, order, lambda: resources.registry)
    if not replay:
        return page
    desk = resources.at(order["created_at"]).for_portfolio(order["portfolio"])
    inputs = DecisionInputs.of(desk).at(order["created_at"])
    parts = Recomputation(
        lineage=lineage,
        inputs=inputs,
        load_model=lambda version: resources.registry.load(version),  # noqa: PLW0108  # MLflow is opened on first use
        by_paper=desk.settings.venue.kind == "paper",
    )
    return replace(page, recomputed=parts.recompute(order))


def _order(lineage: Lineage, given: str) -> Row:
    ids = [given] if lineage.order(given) else lineage.ids_with_prefix(given)
    order = lineage.order(ids[0]) if len(ids) == 1 else None
    if order is None:
        matches = f"found {', '.join(ids)}" if ids else "found none"
        raise NoSuchOrder(
            f"Order {given!r}: expected one order id with this prefix, {matches}. `desk orders` and GET /orders list them."
        )
    return order


def _page(lineage: Lineage, order: Row, registry: Callable[[], Registry]) -> OrderExplanation:
    entry = entry_of(lineage, order)
    origin = entry or order  # the filter scores entries alone
    evidence, entry_evidence = lineage.evidence(order), lineage.evidence(origin)
    prediction = lineage.prediction(entry_evidence) if entry_evidence else None
    served = lineage.served(prediction, origin["created_at"]) if prediction else None
    page = OrderExplanation(
        order={name: value for name, value in order.items() if name not in {"code_commit", "dag_run"}},
        events=lineage.events(order["client_order_id"]),
        fills=lineage.fills(order["client_order_id"]),
        entry_order=entry["client_order_id"] if entry else None,
        signal=lineage.signal(evidence) if evidence else None,
        prediction=prediction,
        model=_model(registry, prediction),
        features=lineage.features(entry_evidence) if entry_evidence else None,
        served=served and {name: served[name] for name in SERVED_COLUMNS},
        bars=_bars(lineage, evidence) if evidence else None,
        validation=lineage.validation(evidence) if evidence else None,
        code={"commit": order["code_commit"], "dag_run": order["dag_run"]},
        not_linked=[],
    )
    return replace(page, not_linked=_not_linked(page, order))


def _model(registry: Callable[[], Registry], prediction: Row | None) -> dict[str, Any] | None:
    """Return version and run of the model that made the prediction, with MLflow's record of it where MLflow has one."""
    if prediction is None:
        return None
    stored = {"name": prediction["model_name"], "version": prediction["model_version"], "run_id": None}
    version = next((each for each in _versions(registry()) if each.version == prediction["model_version"]), None)
    if version is None or prediction["model_name"] != registry().model_name:
        return stored
    return stored | {"run_id": version.run_id, "registered_at": version.created_at, "aliases": list(version.aliases)}


def _versions(registry: Registry) -> list[Version]:
    """Return the registry's versions; none where MLflow has no model."""
    from mlflow.exceptions import MlflowException

    try:
        return list(registry.aliases.versions())
    except (MlflowException, NoChampion):
        return []


def _bars(lineage: Lineage, evidence: Row) -> dict[str, Any]:
    """Return the bar of the decision in the version that was read, with the number of versions that came after it."""
    versions = lineage.bar_versions(evidence["symbol"], evidence["session"])
    place = [each["ingested_at"] for each in versions].index(evidence["bar_ingested_at"])
    return {
        **{name: value for name, value in versions[place].items() if name not in {"timeframe", "ts"}},
        "revision": place + 1,
        "revisions_since": len(versions) - place - 1,
    }


def _not_linked(page: OrderExplanation, order: Row) -> list[str]:
    """Return what the records do not link to this order, in sentences."""
    missing = []
    if page.signal is None:
        missing.append(f"No signal, bar or validation: {NO_SIGNAL.get(order['origin'], NO_SIGNAL['other'])}")
    if order["leg"] == Leg.EXIT and page.entry_order is None:
        missing.append("No entry on record that this exit closes.")
    if page.prediction is None:
        missing.append("No prediction or features: the entry is not on record as a strategy's.")
    if page.model is not None and page.model["run_id"] is None:
        missing.append("MLflow does not have the model's version; its run cannot be named.")
    if page.served is None and page.prediction is not None:
        missing.append("The API has no record of the answer: it writes in batches, or the answer came from elsewhere.")
    if order["code_commit"] == "unknown":
        missing.append(NO_CODE)
    return missing if order["dag_run"] else [*missing, NO_DAG]


def _plain(value: Any) -> Any:  # noqa: ANN401  # a tree of values
    """Return the tree as JSON values: exact numbers as text, instants in ISO, NaN as None."""
    if isinstance(value, dict):
        return {str(name): _plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, dt.datetime | dt.date):
        return value.isoformat()
    value = value.item() if hasattr(value, "item") else value
    if value is None or isinstance(value, bool | int | str):
        return value
    return (None if value != value else value) if isinstance(value, float) else str(value)  # noqa: PLR0124
