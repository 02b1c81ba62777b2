"""The registry over HTTP, as the containers use it: a real MLflow server holds the runs and the files."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import httpx
import numpy as np
import pytest

from core.errors import NoChampion
from ml.entry_filter.train import fit_entry_filter
from ml.estimators.models import score
from ml.samples.dataset import inputs
from ml.tracking.registry import Registry
from tests.unit.ml.conftest import make_candidates

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.integration
START_SECONDS = 60


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("mlflow")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    places = ["--backend-store-uri", f"sqlite:///{folder}/runs.db", "--artifacts-destination", str(folder / "files")]
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1", *places]
    environment = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"}
    with (
        (folder / "log").open("w") as log,
        subprocess.Popen(command, stdout=log, stderr=log, env=environment) as process,
    ):
        try:
            wait_until_healthy(url, process)
            yield url
        finally:
            process.terminate()


def wait_until_healthy(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if httpx.get(f"{url}/health", timeout=5.0).status_code == httpx.codes.OK:
                return
        except httpx.TransportError:
            time.sleep(0.2)
    pytest.fail(f"MLflow did not start within {START_SECONDS} s")


def test_a_server_holds_the_champion_as_the_database_does(
    server: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    dataset = make_candidates(200)
    result = fit_entry_filter(dataset)
    here, there = (Registry(server, tmp_path / name, "entry-filter") for name in ("here", "there"))
    assert there.champion_version() is None
    with pytest.raises(NoChampion, match="desk train"):
        there.champion()

    version = here.register(
        result, dataset, tags={"strategy": "s", "session": result.trained_through}, metrics={"filtered/sharpe": 0.5}
    )

    assert there.champion_version() == version == "1"
    predicted = there.champion().predict(dataset)
    trained = score(result.models[result.chosen].estimator, inputs(dataset))
    np.testing.assert_array_equal(predicted["probability"], trained)
    assert there.latest_training()["candidates"] == len(dataset)
    assert not (tmp_path / "here").exists() or not any((tmp_path / "here").iterdir()), "the server keeps the files"
    printed = capfd.readouterr()
    assert all("champion" in line for line in (printed.out + printed.err).splitlines()), "MLflow prints nothing"
