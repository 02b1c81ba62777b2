"""Real money needs two switches whatever the address says, and brings its rules along."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from core.configuration.addresses import objection
from core.errors import ConfigError
from core.settings import Settings, read_settings
from trading.brokers.alpaca.data import AlpacaData
from trading.brokers.alpaca.stream import TradeStream
from trading.brokers.alpaca.wire import AlpacaClient

KEYS: dict[str, Any] = {"venue__kind": "alpaca", "venue__alpaca__api_key": "PK", "venue__alpaca__secret_key": "s"}
LIVE: dict[str, Any] = KEYS | {"venue__live": True, "provider": "yfinance"}
REAL = [
    "https://api.alpaca.markets",
    "https://API.Alpaca.Markets",
    "https://api.alpaca.markets.",
    "https://api.alpaca.markets:443",
    "http://api.alpaca.markets:8080/v2",
    "https://api.alpaca.markets/?paper-api.alpaca.markets",
    "https://paper-api.alpaca.markets@api.alpaca.markets",
    "https://paper-api.alpaca.markets:443@api.alpaca.markets",
    "https://127.0.0.1@API.alpaca.markets.:443",
    "https://broker-api.alpaca.markets",
    "wss://api.alpaca.markets/stream",
]
ELSEWHERE = [
    "https://paper-api.alpaca.markets.example.com",
    "https://xpaper-api.alpaca.markets",
    "https://paper-api.alpaca.markets.https://paper-api-alpaca.markets",
    "https://localhost.example.com",
    "https://127.0.0.1.nip.io",
    "https://api.alpaca.markets\\@paper-api.alpaca.markets",
    "https://paper-api.alpaca.markets\\@api.alpaca.markets",
    "https://user:word@paper-api.alpaca.markets",
    "https://paper-api.alpaca.markets#@api.alpaca.markets",
    "https://%61pi.alpaca.markets",
    "https://\uff41pi.alpaca.markets",
    "https://paper-api\u3002alpaca.markets",
    "https://paper-api.alpaca.markets \t",
    "http://paper-api.alpaca.markets",
    "paper-api.alpaca.markets",
    "//paper-api.alpaca.markets",
    "ftp://127.0.0.1",
    "http://0.0.0.0:80",
    "http://10.0.0.5",
    "http://2130706433",
    "http://[::ffff:8.8.8.8]",
    "http://[::1",
    "http://127.0.0.1:port",
    "https://",
    "",
]
KNOWN = [
    "https://paper-api.alpaca.markets",
    "https://paper-api.alpaca.markets.",
    "https://PAPER-API.alpaca.markets:443",
    "http://127.0.0.1:1",
    "http://127.8.8.8",
    "http://localhost:80",
    "http://[::1]:9",
]


@pytest.mark.parametrize("address", REAL)
@pytest.mark.parametrize("setting", ["url", "stream_url", "data_url"])
def test_the_host_of_real_money_needs_both_switches(address: str, setting: str) -> None:
    with pytest.raises(ValidationError, match=f"{setting.upper()}.*real money.*VENUE__LIVE=1"):
        Settings.of(**KEYS, **{f"venue__alpaca__{setting}": address})


@pytest.mark.parametrize("address", ELSEWHERE)
def test_another_host_than_loopback_or_papers_is_refused(address: str) -> None:
    with pytest.raises(ValidationError, match=r"VENUE__ALPACA__URL: (expected|it is the host)"):
        Settings.of(**KEYS, venue__alpaca__url=address)


@pytest.mark.parametrize("address", KNOWN)
def test_loopback_and_the_paper_account_are_known(address: str) -> None:
    assert Settings.of(**KEYS, venue__alpaca__url=address).venue.alpaca.url == address


def test_the_stream_and_market_data_have_hosts_of_their_own() -> None:
    assert objection("wss://paper-api.alpaca.markets/stream", "stream", live=False) is None
    assert objection("https://data.alpaca.markets", "data", live=False) is None
    assert objection("https://data.alpaca.markets", "trading", live=False) is not None
    assert objection("https://example.com", "data", live=False) is not None


@pytest.mark.parametrize("address", [*REAL[5:9], *ELSEWHERE, *KNOWN])
def test_real_money_goes_to_no_host_but_its_own(address: str) -> None:
    with pytest.raises(ValidationError, match="Unset VENUE__ALPACA__URL"):
        Settings.of(**LIVE, venue__alpaca__url=address)


def test_real_money_may_name_its_own_host() -> None:
    assert Settings.of(**LIVE, venue__alpaca__url="https://api.alpaca.markets").venue.live


@pytest.mark.parametrize("address", [*REAL, "https://example.com"])
def test_no_client_takes_a_key_to_another_host(address: str) -> None:
    keys = SecretStr("PK"), SecretStr("s")
    for client in (AlpacaClient, TradeStream, AlpacaData):
        with pytest.raises(ConfigError, match="Alpaca's address"):
            client(*keys, url=address)


@pytest.mark.parametrize(("live", "port"), [(False, 7496), (False, 4001), (True, 7497), (True, 4002)])
def test_a_port_of_interactive_brokers_is_of_the_kind_of_money_asked_for(live: bool, port: int) -> None:
    with pytest.raises(ValidationError, match=f"VENUE__IB__PORT={port}"):
        Settings.of(venue__kind="ib", venue__live=live, venue__ib__port=port, provider="yfinance")
    other = {7496: 7497, 4001: 4002, 7497: 7496, 4002: 4001}[port]
    assert Settings.of(venue__kind="ib", venue__live=live, venue__ib__port=other, provider="yfinance").venue.live is live


@pytest.mark.parametrize("provider", ["sample", "files"])
def test_real_money_is_not_decided_on_a_finished_history(provider: str) -> None:
    with pytest.raises(ValidationError, match=f"PROVIDER={provider} is a finished history"):
        Settings.of(**LIVE | {"provider": provider, "ingestion__files_dir": "."})


def rules(settings: Settings) -> tuple[object, ...]:
    return (
        settings.monitor.mode,
        settings.pre_send.heartbeat_max_age_seconds,
        settings.risk.max_entries_a_day,
        settings.risk.cool_down_sessions,
        settings.guard.mode,
    )


def test_real_money_switches_the_rules_on_and_they_go_with_it() -> None:
    live = Settings.of(**LIVE)

    assert rules(live) == ("enforce", 180.0, 3, 1, "on")
    assert rules(live.with_changes(venue__live=False)) == ("log", None, None, None, "off")
    assert rules(live.with_changes(seed=8)) == rules(live)
    assert live.risk.max_positions == Settings().risk.max_positions
    assert rules(Settings.of(**KEYS)) == rules(Settings()), "a paper account asks for none"


def test_each_rule_is_turned_off_by_name_alone() -> None:
    names = {
        "MONITOR__MODE": "log",
        "PRE_SEND__HEARTBEAT_MAX_AGE_SECONDS": "off",
        "RISK__MAX_ENTRIES_A_DAY": "off",
        "RISK__COOL_DOWN_SESSIONS": "OFF",
        "GUARD__MODE": "off",
    }
    live = {name.upper(): str(value).replace("True", "1") for name, value in LIVE.items()}
    on, off = ("enforce", 180.0, 3, 1, "on"), ("log", None, None, None, "off")
    nowhere = Path("nowhere")

    for index, (name, value) in enumerate(names.items()):
        found = rules(read_settings(live | {name: value}, nowhere))
        assert found == (*on[:index], off[index], *on[index + 1 :])
    assert rules(read_settings(live | names, nowhere)) == off
    assert rules(read_settings(live | dict.fromkeys(names, ""), nowhere)) == on, "an empty variable is not set"
    assert rules(read_settings(live | {"RISK__MAX_ENTRIES_A_DAY": "7", "GUARD__MODE": "strict"}, nowhere)) == (
        "enforce",
        180.0,
        7,
        1,
        "strict",
    )


def test_a_rule_is_turned_off_in_the_file_too(tmp_path: Path) -> None:
    (tmp_path / "desk.toml").write_text('[risk]\nmax_entries_a_day = "off"\n[monitor]\nmode = "log"\n')
    live = {name.upper(): str(value).replace("True", "1") for name, value in LIVE.items()}

    assert rules(read_settings(live, tmp_path)) == ("log", 180.0, None, 1, "on")
