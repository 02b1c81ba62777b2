"""The first run: every stage of the daily pipeline once, with real bars, and a table of what came out.

Owns the order of the stages and the printing; each stage is the same step that Airflow runs.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import httpx
from rich.table import Table

from core.errors import RetryLater
from pipeline import featurize, ingest, trade, train
from pipeline.resources import Resources, live

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.console import Console

API_START_SECONDS = 60.0
T = TypeVar("T")


def run(console: Console, resources: Resources | None = None) -> dict[str, Any]:
    """Run ingest, features, training, backtest, prediction and paper orders; print and return the results."""
    found = resources or live()
    results: dict[str, Any] = {}
    with prediction_api(found) as url:
        served = Resources(found.settings.model_copy(update={"api_url": url}), found.clock)
        session = stage(console, results, "Newest session", lambda: ingest.newest_session(served))
        for name, step in (
            ("VIX", lambda: ingest.fetch_vix(session, full_history=True, resources=served)),
            ("Bars", lambda: ingest.fetch_symbols(session, served.universe(), full_history=True, resources=served)),
            ("Features", lambda: featurize.run(session, resources=served)),
            ("Online store", lambda: featurize.materialise(session, resources=served)),
            ("Training", lambda: train.run(session, resources=served)),
            ("Prediction", lambda: predict_all(served, url)),
            ("Settlement", lambda: trade.settle(session, resources=served)),
            ("Candidates", lambda: trade.candidates(session, resources=served)),
            ("Filter", lambda: trade.predict(session, resources=served)),
            ("Orders", lambda: trade.place(session, resources=served)),
            ("Record", lambda: trade.record(session, resources=served)),
        ):
            stage(console, results, name, step)
    console.print(summary(results, session))
    console.print(where_next(served))
    return results


def stage(console: Console, results: dict[str, Any], name: str, step: Callable[[], T]) -> T:
    """Run one stage under a spinner, print its time, keep its result."""
    started = time.perf_counter()
    with console.status(f"{name} ..."):
        results[name] = outcome = step()
    console.print(f"[green]✓[/green] {name:<16}{time.perf_counter() - started:6.1f} s")
    return outcome


@contextmanager
def prediction_api(resources: Resources) -> Iterator[str]:
    """The real prediction API as a process of its own on a free loopback port, for as long as the demo runs."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    resources.data_dir.mkdir(parents=True, exist_ok=True)
    resources.engine.connect().close()  # the database is up and migrated before a second process asks for it
    command = [sys.executable, "-m", "uvicorn", "serving.app:create_app", "--factory", "--port", str(port)]
    with (
        (resources.data_dir / "demo-api.log").open("w") as log,
        subprocess.Popen(command, stdout=log, stderr=log, env=os.environ.copy()) as process,  # noqa: S603 our own module
    ):
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


def predict_all(resources: Resources, url: str) -> dict[str, Any]:
    """Ask the API for every symbol's prediction, once it has picked up the model."""
    deadline = time.monotonic() + API_START_SECONDS
    while True:
        try:
            if httpx.get(f"{url}/readyz", timeout=5.0).status_code == httpx.codes.OK:
                break
        except httpx.TransportError:
            pass  # still starting; the deadline below says when to give up
        if time.monotonic() > deadline:
            raise RetryLater(f"The prediction API was not ready in time; see {resources.data_dir / 'demo-api.log'}.")
        time.sleep(0.2)
    return {answer["symbol"]: answer for answer in trade.ask_api(url, resources.universe())}


def summary(results: dict[str, Any], session: str) -> Table:
    """What a person wants to know, a line each."""
    table = Table(title=f"Daily pipeline, session {session}", show_header=False)
    bars, vix, training = results["Bars"], results["VIX"], results["Training"]
    loaded = sum(part["new"] + part["revised"] + part["unchanged"] for part in (bars, vix))
    table.add_row("Bars in the store", f"{loaded:,} ({bars['new'] + vix['new']:,} new)")
    table.add_row("Rows quarantined", f"{bars['quarantined'] + vix['quarantined']:,}")
    table.add_row("Feature rows", f"{results['Features']['rows']:,} ({results['Features']['written']:,} written)")
    table.add_row("Candidate trades", f"{training['candidates']:,}")
    for name, auc in training["auc"].items():
        table.add_row(f"Walk-forward AUC, {name}", f"{auc:.3f}")
    table.add_row("Champion", f"{training['chosen']}, version {training['model_version']}")
    for kind in ("unfiltered", "filtered"):
        table.add_row(f"Backtest {kind}, net", _backtest_line(training[kind]))
    table.add_row("", f"out of sample from {training['out_of_sample_from']}, after commission and slippage")
    for symbol, answer in results["Prediction"].items():
        table.add_row(
            f"Prediction {symbol}",
            f"{answer['signal']}: probability {answer['probability']:.3f}, expected {answer['predicted_return']:+.2%}",
        )
    orders = results["Orders"]
    table.add_row("Paper orders", f"{orders['placed']} placed, {orders['refused']} refused, for the open of {orders['for']}")
    return table


def _backtest_line(metrics: dict[str, Any]) -> str:
    """The few figures that matter, undefined ones as a dash."""

    def show(name: str, form: str) -> str:
        return "-" if metrics.get(name) is None else format(metrics[name], form)

    return (
        f"{show('trade_count', ',')} trades, {show('profit_per_trade', '+.3%')} a trade, {show('win_rate', '.0%')} winners, "
        f"Sharpe {show('sharpe', '.2f')}, drawdown {show('max_drawdown', '.1%')}"
    )


def where_next(resources: Resources) -> str:
    """Where to look after the table."""
    settings = resources.settings
    return (
        f"\nNext: [bold]make up[/bold], then Airflow http://127.0.0.1:{settings.airflow_port}, MLflow "
        f"http://127.0.0.1:{settings.mlflow_port}, API http://127.0.0.1:{settings.api_port}/docs. "
        f"Data Docs and stored runs are in {settings.data_dir}/."
    )
