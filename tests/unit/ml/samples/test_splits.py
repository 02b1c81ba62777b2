"""The splitter leaks nothing."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st
from sklearn.dummy import DummyClassifier
from sklearn.model_selection import cross_val_score

from core.errors import DataError
from core.sessions import closes_of, sessions_between
from ml.samples.splits import PurgedWalkForward
from tests.properties import examples

SESSIONS = sessions_between(pd.Timestamp("2015-01-02").date(), pd.Timestamp("2016-12-30").date())
CLOSES = closes_of(SESSIONS)


def intervals(decided: list[int], held: list[int]) -> pd.DataFrame:
    ends = np.minimum(np.array(decided) + np.array(held), len(CLOSES) - 1)
    return pd.DataFrame({"event_timestamp": CLOSES[decided], "label_end": CLOSES[ends]})


@settings(max_examples=60, deadline=None)
@given(
    decided=st.lists(st.integers(30, 450), min_size=30, max_size=120),
    embargo=st.integers(0, 10),
    many=st.integers(2, 6),
    data=st.data(),
)
def test_no_training_label_interval_ever_overlaps_a_test_interval(
    decided: list[int], embargo: int, many: int, data: st.DataObject
) -> None:
    held = np.array(data.draw(st.lists(st.integers(1, 40), min_size=len(decided), max_size=len(decided))))
    begins, ends = np.array(decided), np.array(decided) + held
    splitter = PurgedWalkForward(many, embargo)
    try:
        parts = list(splitter.split(intervals(decided, held.tolist())))
    except DataError:
        reject()  # too bunched, or nothing left to train on, and says so

    for train, test in parts:
        assert len(train), "a split without training is an error"
        after, before = begins[train][:, None] - ends[test], begins[test] - ends[train][:, None]
        assert ((after > 0) | (before > 0)).all(), "every pair of intervals is apart"
        assert ((after > embargo) | (before > 0)).all(), "and nothing starts within the embargo after a test"


@settings(max_examples=examples(60), deadline=None)
@given(
    decided=st.lists(st.integers(30, 450), min_size=40, max_size=120),
    embargo=st.integers(0, 10),
    folds=st.integers(2, 5),
    data=st.data(),
)
def test_no_training_label_reaches_the_test_block_or_its_embargo(
    decided: list[int], embargo: int, folds: int, data: st.DataObject
) -> None:
    held = data.draw(st.lists(st.integers(1, 6), min_size=len(decided), max_size=len(decided)))
    samples = intervals(decided, held)
    splitter = PurgedWalkForward(folds, embargo)
    try:
        parts = list(splitter.split(samples))
    except DataError:
        reject()  # too bunched for so many folds, and says so

    assert len(parts) == splitter.get_n_splits() == folds
    tested = np.concatenate([test for _, test in parts])
    assert len(np.unique(tested)) == len(tested), "no sample is tested twice"
    earliest = min(decided[i] for i in tested)
    assert set(tested) == {i for i, at in enumerate(decided) if at >= earliest}, "from the first block on, all are tested"
    last_decision = -1
    for train, test in parts:
        first = min(decided[i] for i in test)
        assert all(decided[i] + held[i] < first - embargo for i in train)
        assert first > last_decision, "blocks follow each other, moments stay whole"
        last_decision = max(decided[i] for i in test)
        assert not set(train) & set(test)


def test_training_grows_from_fold_to_fold() -> None:
    samples = intervals(list(range(0, 400, 2)), [2] * 200)

    sizes = [len(train) for train, _ in PurgedWalkForward(4, 5).split(samples)]

    assert sizes == sorted(sizes)
    assert sizes[0] == 40 - 3, "the last three of the first block have labels within five sessions of the first test"


def test_the_first_training_block_is_as_large_as_asked() -> None:
    samples = intervals(list(range(0, 400, 2)), [1] * 200)

    parts = list(PurgedWalkForward(4, 0, min_train_fraction=0.6).split(samples))

    assert [(min(test), len(test)) for _, test in parts] == [(120, 20), (140, 20), (160, 20), (180, 20)]
    assert len(parts[0][0]) == 120


def test_the_embargo_counts_sessions_not_days() -> None:
    samples = intervals([*range(20), *range(24, 44)], [1] * 40)

    (train, test), *_ = PurgedWalkForward(1, 5).split(samples)

    assert min(test) == 20
    assert max(train) == 17, "label known at session 18; session 19 is the fifth before session 24"


def test_it_works_as_a_scikit_learn_splitter() -> None:
    samples = intervals(list(range(0, 400, 2)), [2] * 200)
    y = np.arange(200) % 2

    scores = cross_val_score(DummyClassifier(), np.zeros((200, 1)), y, groups=samples, cv=PurgedWalkForward(3))

    assert len(scores) == 3


def test_too_little_history_says_what_to_do() -> None:
    with pytest.raises(DataError, match="Load more history"):
        list(PurgedWalkForward(5).split(intervals([1, 2, 3], [1, 1, 1])))
    with pytest.raises(DataError, match="fewer folds"):
        list(PurgedWalkForward(2, 50).split(intervals([1, 2, 3, 4], [1, 1, 1, 1])))
