"""docker-compose.yml and the Dockerfile without an engine: the specification's schema, and that what they name exists.

`tests/data/compose_spec.json` is the Compose Specification's JSON schema as docker-compose 1.29.2 ships it (Apache-2.0).
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from pydantic import SecretStr

from core.settings import NAMES, read_settings
from monitoring.dashboard.environment import Environment

ROOT = Path(__file__).resolve().parents[2]
SECRETS = {
    "API_READ_KEYS",
    "POSTGRES_PASSWORD",
    "REDIS_PASSWORD",
    "AIRFLOW_FERNET_KEY",
    "AIRFLOW_JWT_SECRET",
    "AIRFLOW_SECRET_KEY",
}
VARIABLE = re.compile(r"\$\{(?P<name>[A-Z_]+)(?::(?P<kind>[-?])(?P<text>[^{}]*))?\}")  # the innermost


def interpolate(text: str) -> str:
    """Put variables in as compose does: the default, or for a required one its name in lower case."""
    while VARIABLE.search(text):
        text = VARIABLE.sub(lambda found: found["text"] if found["kind"] == "-" else found["name"].lower(), text)
    return text


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(interpolate((ROOT / "docker-compose.yml").read_text()))
    return loaded


def ours(compose: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {name: service for name, service in compose["services"].items() if "build" in service}


def words(command: list[str]) -> str:
    return " ".join(command)


def test_the_file_follows_the_compose_specification(compose: dict[str, Any]) -> None:
    schema = json.loads((ROOT / "tests/data/compose_spec.json").read_text())
    without_name = {key: value for key, value in compose.items() if key != "name"}  # added to the specification later
    follows = jsonschema.Draft7Validator(schema)
    assert list(follows.iter_errors(without_name)) == []
    misspelt = {**without_name, "services": {"api": {"image": "desk", "portz": []}}}
    assert [error.validator for error in follows.iter_errors(misspelt)] == ["additionalProperties"]


def test_every_part_of_the_desk_is_a_service(compose: dict[str, Any]) -> None:
    airflow = {f"airflow-{part}" for part in ("api", "scheduler", "dag-processor", "triggerer", "worker")}
    watchers = {"risk-worker", "order-listener"}
    assert set(compose["services"]) == {"postgres", "redis", "init", "mlflow", "api", "dashboard"} | airflow | watchers
    version = int(compose["services"]["postgres"]["image"].partition(":")[2])
    assert version >= 16


def test_everything_that_stays_up_has_a_health_check_and_a_restart_policy(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        if name != "init":
            assert service["restart"] == "unless-stopped", name
            assert service["healthcheck"]["test"][0] in {"CMD", "CMD-SHELL"}, name


def test_what_watches_the_desk_runs_always_and_its_health_is_its_own_sign_of_life(compose: dict[str, Any]) -> None:
    from typer.main import get_command

    from desk.cli.app import cli
    from pipeline.execution.service_status import SERVICES

    verbs: Any = get_command(cli)
    for name in ("risk-worker", "order-listener"):
        service = compose["services"][name]
        verb, *options = service["command"][3:]
        assert set(options) <= {option for parameter in verbs.commands[verb].params for option in parameter.opts}, name
        assert "profiles" not in service, "nobody has to think of it"
        check = service["healthcheck"]["test"]
        assert check[:4] == ["CMD", "python", "-m", "desk"]
        assert (check[4] in verbs.commands, check[5] in SERVICES, check[5]) == (True, True, name)
        assert service["environment"]["PRE_SEND__HEARTBEAT_MAX_AGE_SECONDS"] == 180
    assert compose["services"]["airflow-worker"]["environment"]["PRE_SEND__HEARTBEAT_MAX_AGE_SECONDS"] == 180


def test_the_dashboard_gets_the_api_and_a_read_key_and_nothing_else_of_the_desk(compose: dict[str, Any]) -> None:
    service = compose["services"]["dashboard"]
    assert (service["env_file"], service["volumes"]) == ([], [])
    assert {name.partition("__")[0] for name in service["environment"]} == {"DASHBOARD"}
    given = {name: str(value or "") for name, value in service["environment"].items()}
    assert Environment.of(given).read_key == SecretStr("api_read_keys")
    assert {f"DASHBOARD__{name.upper()}" for name in Environment.model_fields} == set(service["environment"])


def test_nothing_runs_as_root(compose: dict[str, Any]) -> None:
    assert (compose["services"]["postgres"]["user"], compose["services"]["redis"]["user"]) == ("postgres", "redis")
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    assert [line for line in lines if line.startswith("USER")] == ["USER desk"]
    assert not any("user" in service for service in ours(compose).values())


def test_no_secret_stands_in_the_file_and_each_is_required() -> None:
    text = (ROOT / "docker-compose.yml").read_text()
    required = {found["name"] for found in VARIABLE.finditer(text) if found["kind"] == "?"}
    assert required == SECRETS
    for line in text.splitlines():
        if re.search(r"(PASSWORD|SECRET|KEY|AUTH|requirepass)\b.*:", line) and not line.startswith("#"):
            assert "${" in line or "environment" in line, line


def test_a_service_waits_only_for_services_that_exist_and_can_be_waited_for(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        for other, how in service.get("depends_on", {}).items():
            target = compose["services"][other]
            assert how["condition"] != "service_healthy" or "healthcheck" in target, (name, other)
            assert how["condition"] != "service_completed_successfully" or target["restart"] == "no", (name, other)


def test_named_volumes_and_networks_are_declared_and_used(compose: dict[str, Any]) -> None:
    services = compose["services"].values()
    used = {volume.partition(":")[0] for service in services for volume in service.get("volumes", [])}
    assert used == set(compose["volumes"])
    assert {network for service in services for network in service["networks"]} == set(compose["networks"])


def test_ports_are_published_on_loopback(compose: dict[str, Any]) -> None:
    ports = [port for service in compose["services"].values() for port in service.get("ports", [])]
    assert sorted(ports) == ["127.0.0.1:5000:5000", "127.0.0.1:8000:8000", "127.0.0.1:8080:8080", "127.0.0.1:8501:8501"]


def test_every_python_module_that_a_service_runs_exists(compose: dict[str, Any]) -> None:
    modules = []
    for service in ours(compose).values():
        command = service["command"]
        assert command[:2] == ["python", "-m"]
        modules.append(command[2])
        modules += [word.partition(":")[0] for word in command if word.startswith(("serving.", "monitoring."))]
        modules += re.findall(r"-m (\w+)|--app ([\w.]+)\.app", words(service.get("healthcheck", {}).get("test", [])))
    names = {name for entry in modules for name in ([entry] if isinstance(entry, str) else entry) if name}
    assert {
        "airflow",
        "mlflow",
        "uvicorn",
        "celery",
        "desk.ops.bootstrap",
        "serving.app",
        "monitoring.dashboard.server",
    } <= names
    missing = [name for name in names if importlib.util.find_spec(name) is None]
    assert missing == []


def test_airflow_understands_every_command_line(compose: dict[str, Any], tmp_path: Path) -> None:
    lines = [service["command"][3:] for service in ours(compose).values() if service["command"][2] == "airflow"]
    for service in ours(compose).values():
        shell = words(service.get("healthcheck", {}).get("test", [])[1:])
        if "python -m airflow" in shell:
            lines.append(shell.replace('"$$(hostname)"', "host").split()[3:])
    assert len(lines) == 7
    script = "import json, sys; from airflow.cli.cli_parser import get_parser; p = get_parser(); "
    script += "[p.parse_args(line) for line in json.loads(sys.argv[1])]"
    environment = {**os.environ, "AIRFLOW_HOME": str(tmp_path), "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor"}
    subprocess.run([sys.executable, "-c", script, json.dumps(lines)], env=environment, check=True)


def test_every_variable_is_a_setting_of_the_desk_of_airflow_or_of_mlflow(compose: dict[str, Any]) -> None:
    from mlflow import environment_variables

    airflow = importlib.util.find_spec("airflow")  # importing it would make an AIRFLOW_HOME
    assert airflow
    assert airflow.origin
    options = yaml.safe_load((Path(airflow.origin).parent / "config_templates/config.yml").read_text())
    celery = {"BROKER_URL", "RESULT_BACKEND"}
    for name in {name for service in ours(compose).values() for name in service["environment"]}:
        if name.startswith("AIRFLOW__CELERY__"):
            assert name.removeprefix("AIRFLOW__CELERY__") in celery
        elif name.startswith("AIRFLOW__"):
            section, option = name.removeprefix("AIRFLOW__").lower().split("__")
            assert option in options[section]["options"], name
        elif name.startswith("MLFLOW_"):
            server_options = {"MLFLOW_BACKEND_STORE_URI", "MLFLOW_DEFAULT_ARTIFACT_ROOT"}
            assert name in server_options or hasattr(environment_variables, name), name
        elif name in {"API_URL", "DATABASE_URL"}:
            desks = [service["environment"] for service in ours(compose).values() if "DATA_DIR" in service["environment"]]
            assert {environment[name] for environment in desks} == {""}
        else:
            assert name in NAMES.by_variable, name


def test_a_shared_file_with_names_of_version_0_1_still_gives_the_same_deployment() -> None:
    old = {
        "API_READ_KEYS": "k" * 20,
        "HEARTBEAT_MAX_AGE_SECONDS": "60",
        "DATABASE_URL": "postgresql://elsewhere/desk",
        "POSTGRES_PASSWORD": "hunter2",
    }
    text = (ROOT / "docker-compose.yml").read_text()
    for name, value in old.items():
        text = re.sub(rf"\$\{{{name}:[-?][^{{}}]*\}}", value, text)
    environment = yaml.safe_load(interpolate(text))["services"]["api"]["environment"]
    container = {
        **old,
        **{name: "" if value is None else str(value) for name, value in environment.items()},
    }  # env_file, then environment

    settings = read_settings(container, ROOT / "tests")
    assert settings.pre_send.heartbeat_max_age_seconds == 60
    assert [key.get_secret_value() for key in settings.api.read_keys] == ["k" * 20]
    assert "@postgres:5432/desk" in str(settings.value_of("DATABASE__URL").get_secret_value())


def test_the_image_holds_every_package_and_only_what_exists() -> None:
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    copied = [line.split()[1] for line in lines if line.startswith("COPY") and "--from" not in line]
    assert [path for path in copied if not (ROOT / path).exists()] == []
    packages = {f"{file.parent.name}/" for file in ROOT.glob("*/__init__.py") if file.parent.name != "tests"}
    assert packages | {"dags/", "feature_repo/", "requirements.lock", "pyproject.toml"} == set(copied)
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert allowed == set(copied)
