"""The first run: the desk's three DAGs once, through Airflow, on real bars, and a table of the stored results.

Every step is the one that the scheduler runs, and every figure is read back from its store.
"""

from __future__ import annotations

import datetime as dt
import os
import re
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import httpx
from rich.table import Table

from core.errors import DeskError, RetryLater
from core.settings import environment_for
from desk.ops.airflow import airflow_environment, desk_environment, migrate
from pipeline import sessions
from pipeline.execution.prediction_client import request_predictions
from pipeline.execution.rerun_rules import next_open
from pipeline.resources import Resources, live
from trading.risk_manager import CORRELATION_WARNING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from rich.console import Console

API_START_SECONDS = 60.0
DAGS = (("daily_market_data", '{"full_history": true}'), ("model_training", "{}"), ("trading_execution", "{}"))
TASK_ENDED = re.compile(r"\[DAG TEST\] end task task_id=([\w.]+) map_index=(-?\d+)")
FAILED = re.compile(r"DagRun Finished: .*state=failed|Marking run .* failed")


def run(console: Console, resources: Resources | None = None) -> None:
    """Run the three DAGs for the newest session and print the results.

    Raises
    ------
    DeskError
        When a DAG failed; names its log.
    """
    resources = resources or live()
    started = time.perf_counter()
    with console.status("Starting PostgreSQL ..."):
        resources.engine.connect().close()
    with prediction_api(resources) as url:
        with console.status("Finding the newest session ..."):
            session = sessions.newest_session(resources=resources)
        with console.status("Preparing Airflow's database ..."):
            environment = airflow_environment(resources.settings) | environment_for(api__url=url)
            migrate(environment)
        console.print(
            f"Session [bold]{session}[/bold], {len(resources.universe())} symbols and VIX from {resources.provider.name}"
        )
        for dag_id, conf in DAGS:
            command = [sys.executable, "-m", "airflow", "dags", "test", dag_id, session, "--conf", conf]
            run_dag(console, dag_id, command, environment, resources.data_dir / "logs")
            if dag_id == "model_training":
                wait_for_model(url, resources.data_dir / "logs" / "demo-api.log")
        candidates = [(strategy.name, symbol) for strategy in resources.strategies for symbol in resources.universe()]
        predictions = request_predictions(url, candidates, resources.settings.api.read_keys)
        tomorrow = request_next_day(url, resources)
    console.print(summary(resources, session, predictions, tomorrow))
    console.print(where_next(resources, time.perf_counter() - started))


def run_dag(console: Console, dag_id: str, command: list[str], environment: Mapping[str, str], logs: Path) -> None:
    """Run one DAG by its command to its end and show the tasks as they end."""
    started = time.perf_counter()
    path = logs / f"demo-{dag_id}.log"
    ended: dict[str, int] = {}
    failed = False
    with (
        path.open("w") as log,
        console.status(f"{dag_id} ...") as status,
        subprocess.Popen(  # noqa: S603  # our own command
            command, env={**os.environ, **environment}, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        ) as process,
    ):
        for line in process.stdout or ():
            log.write(line)
            failed = failed or FAILED.search(line) is not None
            if task := TASK_ENDED.search(line):
                name = task[1].rpartition(".")[2]  # without the group of mapped tasks
                ended[name] = ended.get(name, 0) + 1
                status.update(f"{dag_id}: {', '.join(ended)} done ...")
    if process.returncode or failed:
        raise DeskError(f"The DAG {dag_id} failed; its log is {path}.")
    steps = ", ".join(f"{name} x {count}" if count > 1 else name for name, count in ended.items())
    console.print(f"[green]✓[/green] [bold]{dag_id}[/bold] {time.perf_counter() - started:.0f} s: {steps}")


@contextmanager
def prediction_api(resources: Resources) -> Iterator[str]:
    """Run the prediction API as a process of its own on a free loopback port; yield its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    logs = resources.data_dir / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, **desk_environment(resources.settings)}
    command = [sys.executable, "-m", "uvicorn", "serving.app:create_app", "--factory", "--port", str(port)]
    with (
        (logs / "demo-api.log").open("w") as log,
        subprocess.Popen(command, stdout=log, stderr=log, env=environment) as process,  # noqa: S603
    ):
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


def wait_for_model(url: str, log: Path) -> None:
    """Wait until the API has loaded the champion of each kind."""
    deadline = time.monotonic() + API_START_SECONDS
    while time.monotonic() < deadline:
        try:
            answer = httpx.get(f"{url}/readyz", timeout=5.0)
            if answer.status_code == httpx.codes.OK and answer.json()["next_day"].startswith("version"):
                return
        except httpx.TransportError:
            pass  # still starting; the deadline ends the wait
        time.sleep(0.2)
    raise RetryLater(f"The prediction API was not ready in time; its log is {log}.")


def request_next_day(url: str, resources: Resources) -> list[dict[str, Any]]:
    """Return the next-day prediction of every symbol that has one."""
    keys = resources.settings.api.read_keys
    headers = {"X-API-Key": keys[0].get_secret_value()} if keys else {}
    body = {"rows": [{"symbol": symbol} for symbol in resources.universe()]}
    answer = httpx.post(f"{url}/predict-next-day/batch", json=body, headers=headers, timeout=10.0).raise_for_status()
    return [item["prediction"] for item in answer.json()["items"] if item["prediction"] is not None]


def summary(resources: Resources, session: str, predictions: list[dict[str, Any]], tomorrow: list[dict[str, Any]]) -> Table:
    """Return the table of results, a line each, read from the stores."""
    table = Table(title=f"The desk at the close of {session}", show_header=False)
    counts = resources.bars.counts()
    table.add_row("Bars loaded", f"{counts.bars:,} of {counts.symbols} symbols, VIX among them")
    table.add_row("Rows quarantined", f"{counts.quarantined:,}")
    table.add_row("Feature rows", f"{resources.features.count():,}")
    training = resources.registry.latest_training()
    table.add_row("Candidate trades", f"{training['candidates']:,}")
    for name, figures in training["models"].items():
        interval = f"95 % interval {figures['auc_low']:.3f} to {figures['auc_high']:.3f}"
        table.add_row(f"Walk-forward AUC, {name}", f"{figures['auc']:.3f}, {interval}; 0.5 is no skill")
    table.add_row("Champion", f"{training['chosen']}, version {resources.registry.champion_version()}")
    for kind in ("unfiltered", "filtered"):
        stored = resources.runs.latest(kind)
        table.add_row(f"Backtest, {kind}", backtest_line(stored.metrics) if stored else "-")
    if stored:
        table.add_row("", f"out of sample from {stored.meta['first_session']}, net of commission and slippage")
    for entry in predictions:
        figures = f"probability {entry['probability']:.3f}, expected {entry['predicted_return']:+.2%}"
        table.add_row(f"Entry {entry['symbol']}", f"{entry['signal']} on {entry['for_session']}: {figures}")
    for answer in tomorrow:
        interval = f"expected {answer['predicted_return']:+.2%}, 90 % interval {answer['low']:+.2%} to {answer['high']:+.2%}"
        table.add_row(f"Next day {answer['symbol']}", f"{answer['signal']} for {answer['for_session']}: {interval}")
    table.add_row("Paper orders", orders_line(resources, session))
    return table


def backtest_line(metrics: Mapping[str, Any]) -> str:
    """Return the main figures of a backtest in a line, undefined ones as a dash."""

    def show(name: str, form: str) -> str:
        return "-" if metrics.get(name) is None else format(metrics[name], form)

    return (
        f"{show('trade_count', ',')} trades, {show('profit_per_trade', '+.3%')} a trade, {show('win_rate', '.0%')} winners, "
        f"Sharpe {show('sharpe', '.2f')}, drawdown {show('max_drawdown', '.1%')}"
    )


def orders_line(resources: Resources, session: str) -> str:
    """Return the orders decided at the session, and the refused candidates with their reasons."""
    day, portfolio = dt.date.fromisoformat(session), resources.settings.portfolio
    orders = [f"{order.side} {order.quantity} {order.symbol}" for order, _ in resources.ledger.orders_decided(portfolio, day)]
    events = resources.ledger.risk_events(portfolio)
    refused = events[(events["session"] == day) & (events["symbol"] != "") & (events["reason"] != CORRELATION_WARNING)]
    reasons = ", ".join(f"{row.symbol} refused ({row.reason})" for row in refused.itertuples())
    placed = f"{len(orders)} for the open of {next_open(session)}" + (f": {', '.join(orders)}" if orders else "")
    return "; ".join(filter(None, [placed, reasons or ("" if orders else "the strategy saw no entry")]))


def where_next(resources: Resources, seconds: float) -> str:
    """Return the addresses and folders to look at next."""
    settings, folder = resources.settings, resources.data_dir
    return (
        f"\nDone in {seconds:.0f} s. Next: [bold]make up[/bold], then Airflow http://127.0.0.1:{settings.ports.airflow}, "
        f"MLflow http://127.0.0.1:{settings.ports.mlflow}, API http://127.0.0.1:{settings.ports.api}/docs. "
        f"Data Docs: {folder}/data_docs/index.html; backtests: {folder}/runs; logs: {folder}/logs."
    )
