"""Settings: parsing, refusals, and secrets that stay secret."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from core.settings import Settings


def settings(**values: object) -> Settings:
    return Settings(_env_file=None, **values)


def test_a_universe_is_split_at_commas_and_normalised() -> None:
    assert settings(universe="aapl, BTC/USD ,brk.b").universe == ("AAPL", "BTC-USD", "BRK-B")


def test_the_environment_sets_a_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAX_POSITIONS", "2")
    assert settings().max_positions == 2


def test_the_files_provider_needs_a_folder() -> None:
    with pytest.raises(ValidationError, match="FILES_DIR"):
        settings(provider="files")
    assert settings(provider="files", files_dir=Path("x")).provider == "files"


def test_a_placeholder_secret_is_refused_outside_local() -> None:
    url = "postgresql://desk:changeme@db/desk"
    assert settings(database_url=url).database_url is not None
    with pytest.raises(ValidationError, match="DATABASE_URL still holds a placeholder"):
        settings(database_url=url, environment="production")


def test_secrets_are_not_shown() -> None:
    shown = repr(settings(smtp_password="hunter2", database_url="postgresql://u:hunter2@h/d"))
    assert "hunter2" not in shown


def test_an_absurd_risk_is_refused() -> None:
    with pytest.raises(ValidationError, match="risk_per_trade_pct"):
        settings(risk_per_trade_pct=50)


def test_each_provider_has_a_data_folder_of_its_own() -> None:
    assert Settings(_env_file=None).data_dir == Path(".local")
    assert Settings(_env_file=None, provider="yfinance").data_dir == Path(".local/yfinance")
    assert Settings(_env_file=None, provider="yfinance", data_dir="here").data_dir == Path("here")


def test_an_empty_variable_is_no_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "")
    monkeypatch.setenv("UNIVERSE", "")

    assert Settings(_env_file=None).database_url is None
    assert Settings(_env_file=None).universe == ()


def test_real_money_on_the_paper_broker_is_a_contradiction() -> None:
    with pytest.raises(ValidationError, match="BROKER_LIVE=1"):
        Settings(_env_file=None, broker_live=True)


def test_real_money_must_be_asked_for_twice() -> None:
    keys = {"alpaca_api_key": "AK", "alpaca_secret_key": "s"}

    assert not settings(broker="alpaca", **keys).broker_live
    assert settings(broker="alpaca", broker_live=True, **keys).broker_live
    with pytest.raises(ValidationError, match="BROKER_LIVE=1"):
        settings(broker_live=True, **keys)


def test_alpaca_needs_both_keys() -> None:
    with pytest.raises(ValidationError, match="ALPACA_SECRET_KEY"):
        settings(broker="alpaca", alpaca_api_key="PK")


@pytest.mark.parametrize("address", ["alpaca_url", "alpaca_stream_url", "alpaca_data_url"])
def test_real_money_goes_to_no_other_address(address: str) -> None:
    keys = {"alpaca_api_key": "AK", "alpaca_secret_key": "s"}
    with pytest.raises(ValidationError, match=address.upper()):
        settings(broker="alpaca", broker_live=True, **keys, **{address: "http://127.0.0.1:1"})


def test_a_spread_is_warned_of_before_it_fails() -> None:
    with pytest.raises(ValidationError, match="SPREAD_WARN_BPS"):
        settings(spread_warn_bps=50, spread_fail_bps=40)


def test_a_refused_setting_does_not_show_the_secrets_beside_it() -> None:
    with pytest.raises(ValidationError) as refused:
        settings(broker="alpaca", alpaca_secret_key="hunter2", smtp_password="hunter2")
    assert "hunter2" not in str(refused.value)
