"""Compute an order's signal, features, score and decision again, point-in-time, and compare them bit for bit.

A comparison is a dict: `same` (None where there is nothing to compare with), and what differs under `apart`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from core.frames import FEATURES
from core.models import Leg
from features.build import build_features
from pipeline.audit.decision_replay import decision_signals, repeat_decision, repeat_fills, session_before, signals_at
from pipeline.bars import VIX

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from core.models import OrderIntent
    from ml.entry_filter.predict import EntryFilter
    from pipeline.audit.decision_replay import DecisionInputs
    from storage.trading.lineage import Lineage, Row

    Comparison = dict[str, Any]

SIGNAL_COLUMNS = ("entry", "exit_long", "exit_short", "stop_pct", "target_pct", "strength", "close")
ORDER_FIELDS = ("side", "quantity", "session", "order_type", "stop_pct", "target_pct", "max_sessions")


@dataclass(frozen=True)
class Recomputation:
    """The parts that compute an order again.

    Attributes
    ----------
    inputs
        Inputs of the decision as known when the order was recorded.
    load_model
        Load a version of the entry filter.
    by_paper
        True when the paper broker executes the portfolio's stops and targets, so that its fills can be repeated.
    """

    lineage: Lineage
    inputs: DecisionInputs
    load_model: Callable[[str], EntryFilter]
    by_paper: bool

    def recompute(self, order: Row) -> dict[str, Any]:
        """Return a comparison for signal, features, score and decision, and `same` for all that was compared."""
        entry = entry_of(self.lineage, order) or order
        parts = {"signal": self._signal(order), **self._features_and_score(entry), "decision": self._decision(order)}
        compared = [part["same"] for part in parts.values() if part["same"] is not None]
        return {"same": bool(compared) and all(compared), **parts}

    def _signal(self, order: Row) -> Comparison:
        evidence = self.lineage.evidence(order)
        stored = self.lineage.signal(evidence) if evidence else None
        if stored is None:
            return {"same": None, "why": "no signal on record"}
        rows = decision_signals(self.inputs, order["decision_session"])
        row = rows[(rows["symbol"] == order["symbol"]) & (rows["strategy"] == order["strategy"])]
        if row.empty:
            return {"same": False, "why": "the symbol had no bar then, or STRATEGIES no longer names the strategy"}
        return _comparison(stored, row.iloc[0], SIGNAL_COLUMNS)

    def _features_and_score(self, entry: Row) -> dict[str, Comparison]:
        """Compare the entry's features and score, from the bars known then and the very version that made the prediction."""
        evidence = self.lineage.evidence(entry)
        prediction = self.lineage.prediction(evidence) if evidence else None
        if evidence is None or prediction is None:
            nothing = {"same": None, "why": "no prediction on record"}
            return {"features": nothing, "score": nothing}
        values = self._features(entry)
        served = self.lineage.served(prediction, entry["created_at"])
        if served is not None and served["names"] is not None:
            stored: Mapping[str, Any] = dict(zip(served["names"], served["features"], strict=True))
        else:
            stored = self.lineage.features(evidence) or {}
        compared = _comparison(stored, values, [name for name in FEATURES if name in stored])
        features = {**compared, "from": "the API's record" if served else "the offline store"}
        if not stored:
            features["same"] = None
        return {
            "features": features,
            "score": self._score(prediction, self.inputs.rule_of(entry["strategy"]), stored or values),
        }

    def _features(self, entry: Row) -> dict[str, float]:
        symbol, day = entry["symbol"], entry["decision_session"]
        bars = self.inputs.bars.read([symbol, VIX], end=day, as_of=entry["created_at"])
        mine, vix = (bars[bars["symbol"] == name].reset_index(drop=True) for name in (symbol, VIX))
        last = build_features(mine, vix).iloc[-1]
        return {name: float(last[name]) for name in FEATURES}

    def _score(self, prediction: Row, rule: str, values: Mapping[str, Any]) -> Comparison:
        """Compare the version's score of the stored features with the stored score."""
        from ml.entry_filter.scorer import Scorer

        try:
            model = self.load_model(prediction["model_version"])
        except Exception as error:  # noqa: BLE001  # MLflow's own are many; the page says which
            return {"same": None, "why": f"the model cannot be loaded: {error}"}
        row = [float("nan") if values.get(name) is None else float(values[name]) for name in FEATURES]
        judged = Scorer(model).score(row, rule)
        stored, fresh = float(prediction["probability"]), judged.probability
        accepted = judged.accept == (prediction["signal"] == "enter")
        return {"same": stored == fresh and accepted, "stored": stored, "recomputed": fresh, "apart": fresh - stored}

    def _decision(self, order: Row) -> Comparison:
        """Compare the order with the one of the repeated decision; a stop or target with its repeated fill."""
        if order["leg"] == Leg.EXIT and order["session"] == order["decision_session"]:
            return self._fill(order)
        stored = self.inputs.account.ledger.order(order["client_order_id"])
        repeated = repeat_decision(self.inputs, order["decision_session"])
        mine: OrderIntent | None = next((each for each in repeated if each.client_order_id == order["client_order_id"]), None)
        if mine is None or stored is None:
            return {"same": False, "why": "the repeated decision has no such order"}
        apart = {
            name: {"stored": getattr(stored[0], name), "recomputed": getattr(mine, name)}
            for name in ORDER_FIELDS
            if getattr(stored[0], name) != getattr(mine, name)
        }
        return {"same": not apart, "apart": apart}

    def _fill(self, order: Row) -> Comparison:
        """Compare a stop or target that the paper broker executed in a session with its repeated execution."""
        account, session, order_id = self.inputs.account, order["session"], order["client_order_id"]
        stored = [fill for each, fill in account.ledger.fills(account.portfolio) if each.client_order_id == order_id]
        if not self.by_paper or not stored:
            return {"same": None, "why": "the venue executed it by its own prices" if stored else "no fill on record"}
        newest = replace(self.inputs, as_of=None)
        pairs = repeat_fills(newest, session, signals_at(newest, (session_before(session),)))
        fresh = [fill for each, fill in pairs if each.client_order_id == order_id]
        return {"same": fresh == stored, "why": "" if fresh == stored else f"stored {stored}, again {fresh}"}


def entry_of(lineage: Lineage, order: Row) -> Row | None:
    """Return the entry that an exit closes; None for an entry."""
    return lineage.order(order["entry_order_id"]) if order["entry_order_id"] else None


def _comparison(stored: Mapping[str, Any], fresh: Mapping[str, Any] | Any, names: Sequence[str]) -> Comparison:  # noqa: ANN401
    """Return the comparison of some values by name."""
    apart = {
        name: {"stored": stored[name], "recomputed": fresh[name]} for name in names if not _equal(stored[name], fresh[name])
    }
    return {"same": not apart, "apart": apart}


def _equal(one: Any, other: Any) -> bool:  # noqa: ANN401  # a number, a truth value or None
    """Return True when two values are the same to the last bit; NaN and None are equal."""
    if one is None or one != one:  # noqa: PLR0124  # NaN alone differs from itself
        return other is None or bool(other != other)  # noqa: PLR0124
    return bool(one == other)
