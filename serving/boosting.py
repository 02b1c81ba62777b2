"""A scikit-learn gradient boosting as LightGBM's trees, so that one fast call serves both.

Both libraries send a row left where `x <= threshold`, or where it is NaN and the node says so, and add up leaves in the order
of the trees. Thresholds and leaves are written with every digit, so that the sums are the same to the last bit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

NAN_RIGHT: Final = 8  # decision_type in LightGBM's tree.h: missing values are NaN, and go right unless the next bit is set
NAN_LEFT: Final = NAN_RIGHT | 2


def as_booster(estimator: Any) -> Any | None:  # noqa: ANN401  # both libraries are untyped
    """The LightGBM model of a fitted HistGradientBoostingRegressor; None where it is none, or splits on categories."""
    rounds = getattr(estimator, "_predictors", None)
    if rounds is None or any(len(trees) != 1 or trees[0].nodes["is_categorical"].any() for trees in rounds):
        return None
    from lightgbm import Booster

    start = float(np.ravel(estimator._baseline_prediction)[0])  # noqa: SLF001  # scikit-learn has no public way to it
    trees = [_tree(place, trees[0].nodes, start if place == 0 else 0.0) for place, trees in enumerate(rounds)]
    return Booster(model_str="\n".join([_head(int(estimator.n_features_in_)), *trees, "end of trees", ""]))


def _head(columns: int) -> str:
    """Return the header before the trees: a regression with one output."""
    names = " ".join(f"f{place}" for place in range(columns))
    return (
        "tree\nversion=v4\nnum_class=1\nnum_tree_per_iteration=1\nlabel_index=0\n"
        f"max_feature_idx={columns - 1}\nobjective=regression\nfeature_names={names}\n"
        f"feature_infos={' '.join(['none'] * columns)}\n"
    )


def _tree(place: int, nodes: Any, start: float) -> str:  # noqa: ANN401  # a structured array
    """One tree; inner nodes and leaves are counted apart, and a leaf is referred to by its complement."""
    leaf = nodes["is_leaf"].astype(bool)
    number = np.where(leaf, ~(np.cumsum(leaf) - 1), np.cumsum(~leaf) - 1)
    inner = nodes[~leaf]
    leaves = nodes["value"][leaf] + start
    lines = [f"Tree={place}", f"num_leaves={len(leaves)}", "num_cat=0"]
    if len(inner):
        lines += [
            _line("split_feature", inner["feature_idx"]),
            _line("threshold", inner["num_threshold"]),
            _line("decision_type", np.where(inner["missing_go_to_left"] == 1, NAN_LEFT, NAN_RIGHT)),
            _line("left_child", number[inner["left"]]),
            _line("right_child", number[inner["right"]]),
        ]
    return "\n".join([*lines, _line("leaf_value", leaves), "is_linear=0", "shrinkage=1", "", ""])


def _line(name: str, values: NDArray[Any]) -> str:
    return f"{name}={' '.join(map(repr, values.tolist()))}"
