"""Settings: parsing, refusals, and secrets that stay secret."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from core.configuration.renamed import RENAMED
from core.configuration.trading import Risk
from core.settings import NAMES, Settings, environment_for, environment_names, read_settings

KEYS = {"venue__alpaca__api_key": "AK", "venue__alpaca__secret_key": "s"}


def test_a_universe_is_split_at_commas_and_normalised() -> None:
    assert Settings.of(universe="aapl, BTC/USD ,brk.b").universe == ("AAPL", "BTC-USD", "BRK-B")


def test_a_group_is_a_model_of_its_own() -> None:
    assert Settings(risk=Risk(max_positions=1)).risk == Settings.of(risk__max_positions=1).risk


def test_a_change_is_validated_and_keeps_the_rest() -> None:
    first = Settings.of(risk__max_positions=1, venue__paper__leverage=2, mail__password="hunter2")
    second = first.with_changes(risk__max_position_pct=20)

    assert (second.risk.max_positions, second.risk.max_position_pct, second.venue.paper.leverage) == (1, 20, 2)
    assert second.mail == first.mail
    assert first.risk.max_position_pct == 40
    with pytest.raises(ValidationError, match="max_positions"):
        first.with_changes(risk__max_positions=0)


@pytest.mark.parametrize(
    ("name", "shown"),
    [("max_positions", "max_positions"), ("risk__max_postions", "max_postions"), ("rsik__max_positions", "rsik")],
)
def test_a_name_that_does_not_exist_is_refused(name: str, shown: str) -> None:
    with pytest.raises(ValidationError, match=shown):
        Settings.of(**{name: 1})
    with pytest.raises(ValidationError):
        Settings(**{name: 1})


def test_settings_made_in_python_read_no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RISK__MAX_POSITIONS", "2")
    assert Settings.of(provider="yfinance").risk.max_positions == Settings().risk.max_positions == 3


def test_the_files_provider_needs_a_folder() -> None:
    with pytest.raises(ValidationError, match="INGESTION__FILES_DIR"):
        Settings.of(provider="files")
    assert Settings.of(provider="files", ingestion__files_dir=Path("x")).provider == "files"


def test_a_placeholder_secret_is_refused_outside_local() -> None:
    url = "postgresql://desk:changeme@db/desk"
    assert Settings.of(database__url=url).database.url is not None
    with pytest.raises(ValidationError, match="DATABASE__URL still holds a placeholder"):
        Settings.of(database__url=url, environment="production")


def test_secrets_are_not_shown() -> None:
    shown = repr(Settings.of(mail__password="hunter2", database__url="postgresql://u:hunter2@h/d"))
    assert "hunter2" not in shown


def test_an_absurd_risk_is_refused() -> None:
    with pytest.raises(ValidationError, match="per_trade_pct"):
        Settings.of(risk__per_trade_pct=50)


def test_each_provider_has_a_data_folder_of_its_own() -> None:
    assert Settings().data_dir == Path(".local")
    assert Settings.of(provider="yfinance").data_dir == Path(".local/yfinance")
    assert Settings.of(provider="yfinance", data_dir="here").data_dir == Path("here")
    assert Settings.of(data_dir="here").with_changes(provider="yfinance").data_dir == Path("here")


def test_real_money_on_the_paper_broker_is_a_contradiction() -> None:
    with pytest.raises(ValidationError, match="VENUE__LIVE=1"):
        Settings.of(venue__live=True)


def test_real_money_must_be_asked_for_twice() -> None:
    assert not Settings.of(venue__kind="alpaca", **KEYS).venue.live
    assert Settings.of(venue__kind="alpaca", venue__live=True, provider="yfinance", **KEYS).venue.live
    with pytest.raises(ValidationError, match="VENUE__LIVE=1"):
        Settings.of(venue__live=True, **KEYS)


def test_alpaca_needs_both_keys() -> None:
    with pytest.raises(ValidationError, match="VENUE__ALPACA__SECRET_KEY"):
        Settings.of(venue__kind="alpaca", venue__alpaca__api_key="PK")


@pytest.mark.parametrize("address", ["venue__alpaca__url", "venue__alpaca__stream_url", "venue__alpaca__data_url"])
def test_real_money_goes_to_no_other_address(address: str) -> None:
    with pytest.raises(ValidationError, match=address.upper()):
        Settings.of(venue__kind="alpaca", venue__live=True, **KEYS, **{address: "http://127.0.0.1:1"})


def test_a_spread_is_warned_of_before_it_fails() -> None:
    with pytest.raises(ValidationError, match="GUARD__SPREAD_WARN_BPS"):
        Settings.of(guard__spread_warn_bps=50, guard__spread_fail_bps=40)


def test_a_drawdown_is_alerted_before_it_halts() -> None:
    with pytest.raises(ValidationError, match="MONITOR__DRAWDOWN_ALERT_PCT"):
        Settings.of(monitor__drawdown_alert_pct=3, monitor__drawdown_halt_pct=2)


def test_a_refused_setting_does_not_show_the_secrets_beside_it() -> None:
    with pytest.raises(ValidationError) as refused:
        Settings.of(venue__kind="alpaca", venue__alpaca__secret_key="hunter2", mail__password="hunter2")
    assert "hunter2" not in str(refused.value)


def test_every_name_of_version_0_1_leads_to_a_setting_of_its_own() -> None:
    assert len(RENAMED) == len(set(RENAMED.values())) == 114
    assert {name.upper() for name in RENAMED.values()} <= set(NAMES.by_variable)
    unchanged = set(NAMES.by_variable) - {name.upper() for name in RENAMED.values()}
    assert len(unchanged) + len(RENAMED) == 157
    assert environment_names() == set(NAMES.by_variable) | set(RENAMED)


def test_no_group_takes_a_name_that_is_a_variable_or_another_tools_prefix() -> None:
    assert not NAMES.groups & (set(RENAMED) | set(NAMES.by_variable) | {"AIRFLOW", "MLFLOW", "FEAST", "POSTGRES", "REDIS"})


def test_every_setting_says_what_it_is_in_one_or_more_sentences() -> None:
    for setting in NAMES.by_variable.values():
        text = setting.field.description or ""
        assert text.endswith("."), setting.name
        assert len(text) > 10, setting.name


def test_a_child_process_gets_its_settings_whatever_old_names_it_inherits() -> None:
    inherited = {"DATABASE_URL": "postgresql://other/desk", "PORTFOLIO": "other"}
    child = inherited | environment_for(database__url="postgresql://own/desk", portfolio="own")

    settings = read_settings(child, Path("nowhere"))
    assert settings.database.url is not None
    assert (settings.database.url.get_secret_value(), settings.portfolio) == ("postgresql://own/desk", "own")
