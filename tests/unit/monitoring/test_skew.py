"""Served vectors against recomputed ones."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from core.feature_hash import feature_hash
from monitoring.skew import differing, is_whole

NAMES = ("a", "b", "c")


def test_each_column_that_differs_is_named() -> None:
    assert differing(np.array([1.0, 2.0, 3.0]), np.array([1.0, 2.1, np.nan]), NAMES) == ("b", "c")


def test_unknown_equals_unknown_alone() -> None:
    assert differing(np.array([np.nan] * 3), np.array([np.nan, 0.0, np.nan]), NAMES) == ("b",)


def test_the_arithmetic_of_another_machine_is_no_difference() -> None:
    assert differing(np.array([1e6, 1e-12, 1.0]), np.array([1e6 + 1e-4, 0.0, 1.0 + 1e-10]), NAMES) == ()


@given(arrays(np.float64, 3))
def test_a_vector_is_the_same_as_itself_and_has_its_digest(values: np.ndarray) -> None:
    finite = np.where(np.isinf(values), 0.0, values)

    assert differing(finite, finite, NAMES) == ()
    assert is_whole(finite.tolist(), feature_hash(finite.tolist()))


@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6))
def test_a_changed_number_breaks_the_digest(value: float, change: float) -> None:
    if value + change != value:
        assert not is_whole([value + change], feature_hash([value]))
