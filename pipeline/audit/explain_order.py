"""Why an order was placed: everything behind it on one page, from its fills down to the versions of its bars.

`explain` reads; `recompute` decides again from what was known then and says whether every bit is the same. What the records do
not link is said, never guessed.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

from core.errors import DataError, NoChampion
from core.frames import FEATURES
from core.models import Leg
from pipeline.resources import Resources, live
from trading.strategies.vix_filter import rule_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from core.models import OrderIntent
    from storage.trading.lineage import Lineage, Row
    from trading.strategies.base import Strategy

SIGNAL_COLUMNS = ("entry", "exit_long", "exit_short", "stop_pct", "target_pct", "strength", "close")
NO_DAG = "No DAG run: the order was decided from a terminal, or before runs were kept."
NO_SIGNAL = {
    "venue": "the position was left at its stop or target, at the venue.",
    "watch": "the position was left at its stop or target, which the desk watched.",
    "risk": "the position was sold for risk.",
    "other": "no strategy decided it, or it is older than the record of evidence.",
}
NO_CODE = "No code commit: the order is older than the record of commits."


class NoSuchOrder(DataError):
    """No order has that id, or several begin so."""


def explain(client_order_id: str, *, replay: bool = False, resources: Resources | None = None) -> dict[str, Any]:
    """Everything behind an order, as JSON values.

    Parameters
    ----------
    client_order_id
        The order's id, or a beginning of it that no other order shares.
    replay
        Also recompute signal, features, score and decision from what was known then.

    Returns
    -------
    dict
        order, events, fills, entry_order (of an exit), signal, prediction, model, features, bars, validation, code, and
        `not_linked`: what the records do not say; with `replay` also recomputed.

    Raises
    ------
    NoSuchOrder
        When there is no such order, or several.
    """
    resources = resources or live()
    lineage = resources.lineage
    order = _order(lineage, client_order_id)
    resources = resources.for_portfolio(order["portfolio"])
    page = _page(resources, lineage, order)
    if replay:
        page["recomputed"] = recompute(resources, lineage, order)
    plain: dict[str, Any] = _plain(page)
    return plain


def _order(lineage: Lineage, given: str) -> Row:
    ids = [given] if lineage.order(given) else lineage.ids_with_prefix(given)
    order = lineage.order(ids[0]) if len(ids) == 1 else None
    if order is None:
        known = f"found {', '.join(ids)}" if ids else "found none"
        raise NoSuchOrder(f"Order {given!r}: expected one that begins so, {known}. Ids are in `trading.order_intents`.")
    return order


def _page(resources: Resources, lineage: Lineage, order: Row) -> dict[str, Any]:
    entry = _entry_of(lineage, order)
    origin = entry or order  # the filter is asked about entries alone
    proof, proof_of_entry = lineage.evidence(order), lineage.evidence(origin)
    prediction = lineage.prediction(proof_of_entry) if proof_of_entry else None
    served = lineage.served(prediction, origin["created_at"]) if prediction else None
    page: dict[str, Any] = {
        "order": {name: value for name, value in order.items() if name not in {"code_commit", "dag_run"}},
        "events": lineage.events(order["client_order_id"]),
        "fills": lineage.fills(order["client_order_id"]),
        "entry_order": entry and entry["client_order_id"],
        "signal": lineage.signal(proof) if proof else None,
        "prediction": prediction,
        "model": _model(resources, prediction),
        "features": lineage.features(proof_of_entry) if proof_of_entry else None,
        "served": served
        and {name: served[name] for name in ("id", "served_at", "arm", "source", "feature_hash", "latency_us")},
        "bars": _bars(lineage, proof) if proof else None,
        "validation": lineage.validation(proof) if proof else None,
        "code": {"commit": order["code_commit"], "dag_run": order["dag_run"]},
    }
    return page | {"not_linked": _not_linked(page, order)}


def _entry_of(lineage: Lineage, order: Row) -> Row | None:
    """The entry that an exit closes; None for an entry."""
    return lineage.order(order["entry_order_id"]) if order["entry_order_id"] else None


def _model(resources: Resources, prediction: Row | None) -> dict[str, Any] | None:
    """Version and run of the model that answered; MLflow's word on it where MLflow answers."""
    if prediction is None:
        return None
    known = {"name": prediction["model_name"], "version": prediction["model_version"], "run_id": None}
    version = next((each for each in _versions(resources) if each.version == prediction["model_version"]), None)
    if version is None or prediction["model_name"] != resources.registry.model_name:
        return known
    return known | {"run_id": version.run_id, "registered_at": version.created_at, "aliases": list(version.aliases)}


def _versions(resources: Resources) -> list[Any]:
    """The registry's versions; none where MLflow knows no model."""
    from mlflow.exceptions import MlflowException

    try:
        return list(resources.registry.aliases.versions())
    except (MlflowException, NoChampion):
        return []


def _bars(lineage: Lineage, proof: Row) -> dict[str, Any]:
    """The bar of the decision, in its version, and whether another has come since."""
    versions = lineage.bar_versions(proof["symbol"], proof["session"])
    place = [each["ingested_at"] for each in versions].index(proof["bar_ingested_at"])
    return {
        **{name: value for name, value in versions[place].items() if name not in {"timeframe", "ts"}},
        "revision": place + 1,
        "revisions_since": len(versions) - place - 1,
    }


def _not_linked(page: Mapping[str, Any], order: Row) -> list[str]:
    """What the records do not say of this order, in sentences."""
    missing = []
    if page["signal"] is None:
        missing.append(f"No signal, bar or validation: {NO_SIGNAL.get(order['origin'], NO_SIGNAL['other'])}")
    if order["leg"] == Leg.EXIT and page["entry_order"] is None:
        missing.append("No entry on record that this exit closes.")
    if page["prediction"] is None:
        missing.append("No prediction or features: the entry is not on record as a strategy's.")
    if page["model"] is not None and page["model"]["run_id"] is None:
        missing.append("MLflow does not know the model's version; its run cannot be named.")
    if page["served"] is None and page["prediction"] is not None:
        missing.append("The API's own record of the answer was not found: it writes in batches, or was asked elsewhere.")
    if order["code_commit"] == "unknown":
        missing.append(NO_CODE)
    return missing if order["dag_run"] else [*missing, NO_DAG]


def recompute(resources: Resources, lineage: Lineage, order: Row) -> dict[str, Any]:
    """Signal, features, score and decision anew from what was known when the order was written down.

    Returns
    -------
    dict
        For each: `same` (bit for bit; None where there is nothing to compare with) and what differs. `same`: of all compared.
    """
    strategies = resources.at(order["created_at"]).strategies
    entry = _entry_of(lineage, order) or order
    parts = {"signal": _signal_again(resources, lineage, strategies, order), **_score_again(resources, lineage, entry)}
    parts["decision"] = _decision_again(resources, strategies, order)
    compared = [part["same"] for part in parts.values() if part["same"] is not None]
    return {"same": bool(compared) and all(compared), **parts}


def _signal_again(resources: Resources, lineage: Lineage, strategies: tuple[Strategy, ...], order: Row) -> dict[str, Any]:
    from pipeline.audit.parity_day import signals_at

    proof = lineage.evidence(order)
    stored = lineage.signal(proof) if proof else None
    if stored is None:
        return {"same": None, "why": "no signal on record"}
    rows = signals_at(resources, strategies, (order["decision_session"],), as_of=order["created_at"])
    row = rows[(rows["symbol"] == order["symbol"]) & (rows["strategy"] == order["strategy"])]
    if row.empty:
        return {"same": False, "why": "no bar of the symbol was known, or STRATEGIES has the strategy no longer"}
    fresh = row.iloc[0]
    apart = {
        name: {"stored": stored[name], "recomputed": fresh[name]}
        for name in SIGNAL_COLUMNS
        if not _equal(stored[name], fresh[name])
    }
    return {"same": not apart, "apart": apart}


def _score_again(resources: Resources, lineage: Lineage, entry: Row) -> dict[str, dict[str, Any]]:
    """Features and score of the entry, from the bars known then and the very version that answered."""
    proof = lineage.evidence(entry)
    prediction = lineage.prediction(proof) if proof else None
    if proof is None or prediction is None:
        nothing = {"same": None, "why": "no prediction on record"}
        return {"features": nothing, "score": nothing}
    values = _features_then(resources, entry)
    served = lineage.served(prediction, entry["created_at"])
    stored = lineage.features(proof)
    if served is not None and served["names"] is not None:
        kept: Mapping[str, Any] = dict(zip(served["names"], served["features"], strict=True))
    else:
        kept = stored or {}
    apart = {
        name: {"stored": kept[name], "recomputed": values[name]}
        for name in FEATURES
        if name in kept and not _equal(kept[name], values[name])
    }
    features = {
        "same": not apart if kept else None,
        "apart": apart,
        "from": "the API's record" if served else "the offline store",
    }
    return {"features": features, "score": _scored(resources, prediction, rule_name(entry["strategy"]), kept or values)}


def _features_then(resources: Resources, entry: Row) -> dict[str, float]:
    from features.build import build_features
    from pipeline.bars import VIX

    symbol, day = entry["symbol"], entry["decision_session"]
    bars = resources.bars.read([symbol, VIX], end=day, as_of=entry["created_at"])
    mine, vix = (bars[bars["symbol"] == name].reset_index(drop=True) for name in (symbol, VIX))
    last = build_features(mine, vix).iloc[-1]
    return {name: float(last[name]) for name in FEATURES}


def _scored(resources: Resources, prediction: Row, rule: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """The version's judgement of the features that were kept, beside the one that was stored."""
    from ml.entry_filter.scorer import Scorer

    try:
        model = resources.registry.load(prediction["model_version"])
    except Exception as error:  # noqa: BLE001  # MLflow's own are many; the page says which
        return {"same": None, "why": f"the model cannot be loaded: {error}"}
    row = [float("nan") if values.get(name) is None else float(values[name]) for name in FEATURES]
    judged = Scorer(model).score(row, rule)
    stored, fresh = float(prediction["probability"]), judged.probability
    accepted = judged.accept == (prediction["signal"] == "enter")
    return {"same": stored == fresh and accepted, "stored": stored, "recomputed": fresh, "apart": fresh - stored}


def _decision_again(resources: Resources, strategies: tuple[Strategy, ...], order: Row) -> dict[str, Any]:
    """The order anew from signals, predictions and holdings of its decision; a stop or target from its bar."""
    from pipeline.audit.parity_day import decide_again, fill_again

    if order["leg"] == Leg.EXIT and order["session"] == order["decision_session"]:
        return fill_again(resources, strategies, order["session"], order["client_order_id"])
    stored = resources.ledger.order(order["client_order_id"])
    fresh = decide_again(resources, strategies, order["decision_session"], as_of=order["created_at"])
    mine: OrderIntent | None = next((each for each in fresh if each.client_order_id == order["client_order_id"]), None)
    if mine is None or stored is None:
        return {"same": False, "why": "the decision made again has no such order"}
    names = ("side", "quantity", "session", "order_type", "stop_pct", "target_pct", "max_sessions")
    apart = {
        name: {"stored": getattr(stored[0], name), "recomputed": getattr(mine, name)}
        for name in names
        if getattr(stored[0], name) != getattr(mine, name)
    }
    return {"same": not apart, "apart": apart}


def _equal(one: Any, other: Any) -> bool:  # noqa: ANN401  # a number, a truth value or None
    """Whether two values are the same to the last bit; unknown equals unknown."""
    if one is None or one != one:  # noqa: PLR0124  # NaN alone differs from itself
        return other is None or bool(other != other)  # noqa: PLR0124
    return bool(one == other)


def _plain(value: Any) -> Any:  # noqa: ANN401  # a tree of values
    """The same as JSON values: exact numbers as text, instants in ISO, an unknown number as None."""
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
