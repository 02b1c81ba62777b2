"""Compiled loops against numpy, on arrays that hypothesis chooses."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from features import kernels

WHOLE = st.integers(-(10**6), 10**6)
INSTANTS = arrays(np.int64, st.integers(0, 60), elements=WHOLE)


@given(INSTANTS, st.integers(1, 70))
def test_newest_is_the_largest_of_the_last_values(instants, memory):
    out = np.empty_like(instants)
    kernels.newest(instants, memory, out)
    assert out.tolist() == [int(instants[max(t - memory + 1, 0) : t + 1].max()) for t in range(len(instants))]


@given(st.lists(st.floats(0, 1e9), min_size=1, max_size=40))
def test_a_sum_with_what_it_lost_is_exact_to_the_last_place(values):
    total = lost = 0.0
    for value in values:
        total, lost = kernels.added(total, lost, value)
    exact = math.fsum(values)
    assert abs(total + lost - exact) <= math.ulp(exact)


def test_a_zero_denominator_gives_nan_in_every_quotient():
    one, zero, out = np.ones(2), np.zeros(2), np.full(2, 7.0)
    kernels.divide(one, zero, out)
    assert np.isnan(out).all()
    kernels.standardise(one, one, zero, out)
    assert np.isnan(out).all()
    kernels.band_position(one, one, zero, out)
    assert np.isnan(out).all()
    kernels.band_width(zero, zero, out)
    assert np.isnan(out).all()
    kernels.exceeds(one, zero, 1.0, out)
    assert np.isnan(out).all()


def test_a_session_on_no_day_of_the_table_is_named_by_its_position():
    table = np.array([0, -1, 1], dtype=np.int64)  # a holiday in the middle
    for sessions, wrong in (([10, 12], -1), ([10, 11], 1), ([9], 0), ([10, 13], 1)):
        slots = np.empty(len(sessions), dtype=np.int64)
        assert kernels.slots_of(np.array(sessions) * kernels.DAY, 10, table, slots) == wrong
    assert kernels.slots_of(np.array([10 * kernels.DAY + 1]), 10, table, np.empty(1, dtype=np.int64)) == 0
