"""The stored form of a model: the same bytes from any process, and still the model."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import skops.io

from ml.estimators.models import CONSTANT, LOGISTIC, fit_model, make_models, model_bytes, score
from ml.estimators.stored_form import canonical
from ml.samples.dataset import inputs

if TYPE_CHECKING:
    import pandas as pd

ELSEWHERE = """
import hashlib, numpy as np
from ml.samples.dataset import inputs
from ml.estimators.models import LIGHTGBM, LOGISTIC, fit_model, make_models, model_bytes
from tests.unit.ml.conftest import make_candidates
padding = [object() for _ in range(1000)]  # other addresses
noise = make_candidates()
for name in (LOGISTIC, LIGHTGBM):
    fitted = fit_model(make_models(7)[name], inputs(noise), noise["win"].to_numpy(), np.ones(len(noise)))
    print(hashlib.sha256(model_bytes(fitted)).hexdigest())
"""


def test_two_processes_store_the_same_bytes() -> None:
    answers = [
        subprocess.run([sys.executable, "-c", ELSEWHERE], capture_output=True, text=True, check=True).stdout.split()
        for _ in range(2)
    ]

    assert len(answers[0]) == 2
    assert answers[0] == answers[1]


def test_what_is_stored_is_still_the_model(noise: pd.DataFrame) -> None:
    X, y = inputs(noise), noise["win"].to_numpy()
    for name in (LOGISTIC, CONSTANT):
        fitted = fit_model(make_models(7)[name], X, y, np.ones(len(X)))
        stored = model_bytes(fitted)

        loaded = skops.io.loads(stored, trusted=["numpy.dtype"])

        np.testing.assert_array_equal(score(loaded, X), score(fitted, X))
        assert model_bytes(loaded) == stored == canonical(stored), "storing again changes nothing"


def test_another_model_has_other_bytes(noise: pd.DataFrame) -> None:
    X, y = inputs(noise), noise["win"].to_numpy()
    one, other = (fit_model(make_models(7)[LOGISTIC], X, y, weight) for weight in (np.ones(len(X)), np.arange(1.0, len(X) + 1)))

    assert hashlib.sha256(model_bytes(one)).hexdigest() != hashlib.sha256(model_bytes(other)).hexdigest()
