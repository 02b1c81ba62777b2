"""Spellings of symbols, and what they say of an instrument."""

from __future__ import annotations

import doctest

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import symbols
from core.symbols import AssetClass, normalise_symbol, traits_of


def test_the_examples_in_the_docstrings_hold() -> None:
    assert doctest.testmod(symbols).failed == 0


@pytest.mark.parametrize(
    "spelling",
    [
        *("DOT-USD", "SHIB-USD", "BTC-EUR", "ETH-BTC", "BTC_USD", "BTC/USDT", "1INCH-USD", "PEPE/USDC", "USDT-EUR", "SOL-GBP"),
        *("dotusd", "SHIBUSDT", "btceur", "ETHBTC", "XBTUSD", "ARBUSD"),
    ],
)
def test_a_pair_with_a_money_a_stable_coin_or_a_coin_is_crypto(spelling: str) -> None:
    symbol = normalise_symbol(spelling)

    assert symbol == normalise_symbol(symbol)
    assert symbol.count("-") == 1
    assert traits_of(symbol) == (AssetClass.CRYPTO, symbol.split("-")[1], "24/7")


@pytest.mark.parametrize(
    ("spelling", "symbol", "kind", "calendar"),
    [
        ("AAPL", "AAPL", "equity", "XNYS"),
        ("BRK-B", "BRK-B", "equity", "XNYS"),
        ("BRK.B", "BRK-B", "equity", "XNYS"),
        ("brk/b", "BRK-B", "equity", "XNYS"),
        ("BRK B", "BRK-B", "equity", "XNYS"),
        ("BF.B", "BF-B", "equity", "XNYS"),
        ("RDS-A", "RDS-A", "equity", "XNYS"),
        ("BAC-PL", "BAC-PL", "equity", "XNYS"),
        ("VOD.L", "VOD.L", "equity", "XLON"),
        ("bt-a.l", "BT-A.L", "equity", "XLON"),
        ("7203.T", "7203.T", "equity", "XTKS"),
        ("RCI-B.TO", "RCI-B.TO", "equity", "XTSE"),
        ("SAP.DE", "SAP.DE", "equity", "XETR"),
        ("0700.HK", "0700.HK", "equity", "XHKG"),
        ("DX-Y.NYB", "DX-Y.NYB", "index", "IEPA"),
        ("^GSPC", "^GSPC", "index", "XNYS"),
        ("^N225", "^N225", "index", "XTKS"),
        ("EURUSD=X", "EURUSD=X", "fx", "24/5"),
        ("EUR/USD", "EURUSD=X", "fx", "24/5"),
        ("eurusd", "EURUSD=X", "fx", "24/5"),
        ("XAU-USD", "XAUUSD=X", "fx", "24/5"),
        ("ES=F", "ES=F", "future", "CMES"),
        # Shares and funds whose names look like coins or moneys.
        ("BTC", "BTC", "equity", "XNYS"),
        ("ETHE", "ETHE", "equity", "XNYS"),
        ("UNI", "UNI", "equity", "XNYS"),
        ("LINK", "LINK", "equity", "XNYS"),
        ("USD", "USD", "equity", "XNYS"),
        ("PLUSD", "PLUSD", "equity", "XNYS"),
    ],
)
def test_every_other_spelling_is_no_pair(spelling: str, symbol: str, kind: str, calendar: str) -> None:
    assert normalise_symbol(spelling) == symbol == normalise_symbol(symbol)
    assert (traits_of(spelling).asset_class, traits_of(spelling).calendar) == (kind, calendar)


@given(st.text(alphabet="ABDEHLTUSX019.-/_=^ ", min_size=1, max_size=12))
def test_a_normal_spelling_is_normal(text: str) -> None:
    once = normalise_symbol(text)

    assert normalise_symbol(once) == once
    assert traits_of(once) == traits_of(text)
