"""The environment, `.env` and `desk.toml`: precedence, names that do not exist, names of version 0.1, secrets."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import structlog

from core.configuration.names import COMPOSE
from core.errors import ConfigError
from core.settings import Settings, get_settings, read_settings

ROOT = Path(__file__).resolve().parents[3]
ORDINARY = """
PATH HOME MAIL LANG SHELL USER API_URI APP_URL APP_PORT DB_HOST DB_PORT DB_NAME DATABASE_URI FB_CLIENT_ID CLIENT_ID
SMTP_SERVER SPEED SEEDS FOLDERS PROVIDERS ENVIRONMENTS BROKERS BROKER_URL DATA_DIRS DATE_DIR LOG_LEVELS AIRFLOW_HOME
AIRFLOW__CORE__EXECUTOR MLFLOW_TRACKING_TOKEN MLFLOW_REGISTRY_URI FEAST_USAGE POSTGRES_USER PGHOST RISK COSTS VENUE
__CF_USER_TEXT_ENCODING LC__ALL OTHER__URL
""".split()  # noqa: SIM905


def refusal(environment: dict[str, str], folder: Path) -> str:
    with pytest.raises(ConfigError) as refused:
        read_settings(environment, folder)
    return str(refused.value)


def test_the_environment_comes_before_the_env_file_before_desk_toml_before_the_default(tmp_path: Path) -> None:
    environment: dict[str, str] = {}
    found = [read_settings(environment, tmp_path).risk.max_positions]
    (tmp_path / "desk.toml").write_text("[risk]\nmax_positions = 4\nmax_entries_a_day = 1\n")
    found.append(read_settings(environment, tmp_path).risk.max_positions)
    (tmp_path / ".env").write_text("RISK__MAX_POSITIONS=5\n")
    found.append(read_settings(environment, tmp_path).risk.max_positions)
    environment["RISK__MAX_POSITIONS"] = "6"
    settings = read_settings(environment, tmp_path)

    assert [*found, settings.risk.max_positions] == [3, 4, 5, 6]
    assert settings.risk.max_entries_a_day == 1, "the rest of the group still comes from the file"


def test_desk_toml_takes_tables_arrays_and_numbers(tmp_path: Path) -> None:
    (tmp_path / "desk.toml").write_text(
        'provider = "yfinance"\nuniverse = ["spy", "qqq"]\n[venue]\nkind = "paper"\n[venue.paper]\nleverage = 1.5\n'
    )
    settings = read_settings({}, tmp_path)
    assert (settings.provider, settings.universe, settings.venue.paper.leverage) == ("yfinance", ("SPY", "QQQ"), 1.5)


def test_an_empty_variable_is_no_setting(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("MAX_POSITIONS=\nRISK__MAX_EXPOSURE_PCT\n")
    settings = read_settings({"DATABASE__URL": "", "UNIVERSE": "", "RISK__MAX_POSITIONS": ""}, tmp_path)
    assert settings == Settings()


def test_names_may_be_in_lower_case(tmp_path: Path) -> None:
    assert read_settings({"risk__max_positions": "2"}, tmp_path).risk.max_positions == 2


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("MAX_POSTIONS", "RISK__MAX_POSITIONS"),
        ("MAX_DRAWDWON_PTC", "RISK__MAX_DRAWDOWN_PCT"),
        ("RISK_MAX_POSITIONS", "RISK__MAX_POSITIONS"),
        ("RISK__MAX_POSTIONS", "RISK__MAX_POSITIONS"),
        ("RSIK__MAX_POSITIONS", "RISK__MAX_POSITIONS"),
        ("RISK__MODE", "MONITOR__MODE"),
        ("VENUE__ALPACA_API_KEY", "VENUE__ALPACA__API_KEY"),
        ("AIRFLOW_PROT", "PORTS__AIRFLOW"),
    ],
)
def test_a_misspelt_name_is_refused_with_the_nearest(typed: str, meant: str, tmp_path: Path) -> None:
    assert refusal({typed: "9"}, tmp_path) == f"{typed}: no such setting. Did you mean {meant}?"
    (tmp_path / ".env").write_text(f"{typed}=9\n")
    assert refusal({}, tmp_path) == f"{typed} in .env: no such setting. Did you mean {meant}?"


def test_other_programs_variables_are_left_alone(tmp_path: Path) -> None:
    assert read_settings(dict.fromkeys(ORDINARY, "x"), tmp_path) == Settings()


def test_a_variable_under_a_group_that_is_no_setting_is_refused_without_its_value(tmp_path: Path) -> None:
    words = refusal({"MAIL__XYZZYX": "hunter2"}, tmp_path)
    assert words == "MAIL__XYZZYX: no such setting. docs/configuration.md lists all settings."


def test_every_unknown_name_of_an_env_file_is_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("WHATEVER=1\nAPP_URL=2\nRISK__MAX_POSITIONS=0\n")
    words = refusal({}, tmp_path)
    assert "WHATEVER in .env: no such setting." in words
    assert "APP_URL in .env: no such setting." in words
    assert "RISK__MAX_POSITIONS in .env: expected greater than or equal to 1." in words


def test_an_env_file_may_be_shared_with_compose_airflow_mlflow_and_postgresql(tmp_path: Path) -> None:
    shared = [*COMPOSE, "AIRFLOW__CORE__PARALLELISM", "MLFLOW_DISABLE_TELEMETRY", "POSTGRES_USER", "PGPASSWORD", "TZ"]
    (tmp_path / ".env").write_text("".join(f"{name}=x\n" for name in shared))
    assert read_settings({}, tmp_path) == Settings()


def test_an_unknown_key_of_desk_toml_is_refused_with_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "desk.toml").write_text("max_positions = 2\nmonitor = 3\n[risk]\nmax_postions = 1\n[rsik]\nmax_positions = 1\n")
    assert refusal({}, tmp_path).split("; ") == [
        "desk.toml: max_positions: no such setting. Did you mean risk.max_positions?",
        "desk.toml: monitor: expected a table [monitor], found a value.",
        "desk.toml: risk.max_postions: no such setting. Did you mean risk.max_positions?",
        "desk.toml: rsik.max_positions: no such setting. Did you mean risk.max_positions?",
    ]


def test_a_secret_in_desk_toml_is_refused_and_not_shown(tmp_path: Path) -> None:
    (tmp_path / "desk.toml").write_text('[mail]\npassword = "hunter2"\n[api]\nread_keys = ["hunter2"]\n')
    words = refusal({}, tmp_path)
    assert "desk.toml: mail.password is a secret. Set MAIL__PASSWORD in the environment or in .env" in words
    assert "api.read_keys is a secret" in words
    assert "hunter2" not in words


def test_a_broken_desk_toml_is_a_setting_to_change(tmp_path: Path) -> None:
    (tmp_path / "desk.toml").write_text("[risk\n")
    assert refusal({}, tmp_path).startswith("desk.toml: expected TOML, found something else:")


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        (
            {"RISK__PER_TRADE_PCT": "50"},
            "RISK__PER_TRADE_PCT: expected less than or equal to 5. Change it, or remove it to use the default (0.25).",
        ),
        (
            {"RISK_PER_TRADE_PCT": "50"},
            "RISK_PER_TRADE_PCT: expected less than or equal to 5. Change it, or remove it to use the default (0.25).",
        ),
        (
            {"GUARD__MODE": "maybe"},
            "GUARD__MODE: expected 'off', 'on' or 'strict'. Change it, or remove it to use the default (off).",
        ),
        (
            {"PROVIDER": "files"},
            "PROVIDER=files needs INGESTION__FILES_DIR: the folder that holds the CSV or Parquet files.",
        ),
        ({"STRATEGIES": ","}, "STRATEGIES: expected one or more names, found none. `desk strategies` lists them."),
        (
            {"API__READ_KEYS": "hunter2"},
            "API__READ_KEYS: An API key needs 20 characters: python -c 'import secrets; print(secrets.token_hex())'.",
        ),
    ],
)
def test_a_wrong_value_is_named_as_it_was_typed_and_not_shown(environment: dict[str, str], words: str, tmp_path: Path) -> None:
    assert refusal(environment, tmp_path) == words


def test_a_name_of_version_0_1_is_read_and_said_once(tmp_path: Path) -> None:
    with structlog.testing.capture_logs() as said:
        settings = read_settings({"MAX_POSITIONS": "2", "BROKER_TIMEOUT_SECONDS": "4"}, tmp_path)

    assert (settings.risk.max_positions, settings.venue.timeout_seconds) == (2, 4)
    assert said == [
        {
            "event": "settings_renamed",
            "log_level": "warning",
            "names": ["BROKER_TIMEOUT_SECONDS is now VENUE__TIMEOUT_SECONDS", "MAX_POSITIONS is now RISK__MAX_POSITIONS"],
            "remedy": "Rename them: the old names are read until version 0.3",
        }
    ]


def test_todays_names_are_read_in_silence(tmp_path: Path) -> None:
    with structlog.testing.capture_logs() as said:
        read_settings({"RISK__MAX_POSITIONS": "2", "PROVIDER": "yfinance"}, tmp_path)
    assert said == []


def test_old_and_new_name_may_agree_and_must_not_differ_in_one_place(tmp_path: Path) -> None:
    assert read_settings({"MAX_POSITIONS": "2", "RISK__MAX_POSITIONS": "2"}, tmp_path).risk.max_positions == 2
    words = "MAX_POSITIONS and RISK__MAX_POSITIONS are both set and differ. MAX_POSITIONS is the old name: remove it."
    assert refusal({"MAX_POSITIONS": "1", "RISK__MAX_POSITIONS": "2"}, tmp_path) == words
    assert refusal({"RISK__MAX_POSITIONS": "2", "MAX_POSITIONS": "1"}, tmp_path) == words


def test_in_two_places_the_usual_precedence_decides_between_old_and_new_name(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("RISK__MAX_POSITIONS=5\n")
    assert read_settings({"MAX_POSITIONS": "2"}, tmp_path).risk.max_positions == 2
    (tmp_path / ".env").write_text("MAX_POSITIONS=5\n")
    assert read_settings({"RISK__MAX_POSITIONS": "2"}, tmp_path).risk.max_positions == 2


def test_a_process_reads_its_own_environment_once_and_warns_on_stderr(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = (
        "from core.settings import get_settings; print(get_settings().risk.max_positions, get_settings().risk.max_positions)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env={"PYTHONPATH": str(ROOT), "MAX_POSITIONS": "2"},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout == "2 2\n"
    assert [json.loads(line)["event"] for line in done.stderr.splitlines()] == ["settings_renamed"]

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MAX_POSTIONS", "9")
    get_settings.cache_clear()
    with pytest.raises(ConfigError, match="MAX_POSTIONS"):
        get_settings()


def test_reading_settings_needs_no_heavy_library() -> None:
    program = (
        "import sys, core.settings; core.settings.get_settings(); print({'pandas', 'numpy', 'sqlalchemy'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT / "tests",
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "set()"
