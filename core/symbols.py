"""One spelling a symbol, and what its spelling alone says: asset class, currency and calendar. Rules, no list of symbols.

Spellings are those of Yahoo Finance: `BRK-B` (class of a share), `VOD.L` (listing elsewhere), `BTC-USD` (crypto pair),
`EURUSD=X` (currencies), `ES=F` (future), `^GSPC` (index). What the rules get wrong, the table of instruments corrects.
"""

from __future__ import annotations

import re
from enum import StrEnum
from functools import lru_cache
from typing import Final, NamedTuple


class AssetClass(StrEnum):
    """Kind of an instrument."""

    EQUITY = "equity"
    FUND = "fund"
    INDEX = "index"
    FUTURE = "future"
    FX = "fx"
    CRYPTO = "crypto"


class Traits(NamedTuple):
    """Properties of an instrument that its spelling implies; `currency` is empty where it implies none."""

    asset_class: AssetClass
    currency: str
    calendar: str


FIAT: Final = frozenset({
    "USD", "EUR", "GBP", "JPY", "CHF", "CAD", "AUD", "NZD", "SEK", "NOK", "DKK", "PLN", "CZK", "HUF", "RON", "TRY", "ZAR",
    "MXN", "BRL", "CNY", "CNH", "HKD", "SGD", "KRW", "INR", "IDR", "THB", "ILS", "RUB",
})  # fmt: skip
STABLE: Final = frozenset({"USDT", "USDC", "BUSD", "FDUSD", "TUSD", "USDP", "PYUSD", "DAI"})
_DOLLAR_COINS: Final = ("USDC", "USDT")  # no share's name ends with one; but `DOTUSD` is no pair of DO and TUSD
_METALS: Final = frozenset({"XAU", "XAG", "XPT", "XPD"})
_QUOTES: Final = FIAT | STABLE | {"BTC", "ETH", "BNB"}
_OTHER_NAMES: Final = {"XBT": "BTC"}  # Kraken's and BitMEX's bitcoin
# Bases of a pair that is written without a separator, and is too short for a rule to tell from a share: `btceur`, `ETHBTC`.
_COINS: Final = frozenset({
    "BTC", "XBT", "ETH", "SOL", "LTC", "BCH", "DOGE", "AVAX", "LINK", "UNI", "AAVE", "XRP", "ADA", "DOT", "BNB", "TRX", "XLM",
    "ETC", "ATOM", "NEAR", "FIL", "MATIC", "SHIB", "ALGO",
})  # fmt: skip
_PAIR: Final = re.compile(r"([A-Z0-9]{1,15})[-/_]([A-Z]{3,5})")
_CLASS: Final = re.compile(r"([A-Z0-9&]{1,6})([./ _])([A-Z])")
_ONE_LETTER_EXCHANGES: Final = frozenset("LFTV")  # London, Frankfurt, Tokyo, TSX Venture: `VOD.L` is no class of VOD

# Suffix of a listing -> calendar and currency (London quotes in pence).
_LISTINGS: Final = {
    "L": ("XLON", "GBp"), "IL": ("XLON", "USD"), "T": ("XTKS", "JPY"), "TO": ("XTSE", "CAD"), "V": ("XTSE", "CAD"),
    "NE": ("XTSE", "CAD"), "CN": ("XTSE", "CAD"), "DE": ("XETR", "EUR"), "F": ("XFRA", "EUR"), "BE": ("XFRA", "EUR"),
    "DU": ("XDUS", "EUR"), "HM": ("XHAM", "EUR"), "MU": ("XFRA", "EUR"), "SG": ("XSTU", "EUR"), "PA": ("XPAR", "EUR"),
    "AS": ("XAMS", "EUR"), "BR": ("XBRU", "EUR"), "LS": ("XLIS", "EUR"), "IR": ("XDUB", "EUR"), "MI": ("XMIL", "EUR"),
    "MC": ("XMAD", "EUR"), "SW": ("XSWX", "CHF"), "ST": ("XSTO", "SEK"), "CO": ("XCSE", "DKK"), "HE": ("XHEL", "EUR"),
    "IC": ("XICE", "ISK"), "OL": ("XOSL", "NOK"), "VI": ("XWBO", "EUR"), "WA": ("XWAR", "PLN"), "PR": ("XPRA", "CZK"),
    "BD": ("XBUD", "HUF"), "AT": ("ASEX", "EUR"), "IS": ("XIST", "TRY"), "TA": ("XTAE", "ILA"), "SR": ("XSAU", "SAR"),
    "JO": ("XJSE", "ZAc"), "AX": ("XASX", "AUD"), "NZ": ("XNZE", "NZD"), "HK": ("XHKG", "HKD"), "SS": ("XSHG", "CNY"),
    "SZ": ("XSHG", "CNY"), "KS": ("XKRX", "KRW"), "KQ": ("XKRX", "KRW"), "TW": ("XTAI", "TWD"), "TWO": ("XTAI", "TWD"),
    "SI": ("XSES", "SGD"), "KL": ("XKLS", "MYR"), "JK": ("XIDX", "IDR"), "BK": ("XBKK", "THB"), "BO": ("XBOM", "INR"),
    "NS": ("XBOM", "INR"), "SA": ("BVMF", "BRL"), "MX": ("XMEX", "MXN"), "BA": ("XBUE", "ARS"), "SN": ("XSGO", "CLP"),
    "NYB": ("IEPA", "USD"), "CBT": ("CMES", "USD"), "CME": ("CMES", "USD"), "CMX": ("CMES", "USD"), "NYM": ("CMES", "USD"),
}  # fmt: skip
_INDEX_CALENDARS: Final = {
    "^FTSE": "XLON", "^FTMC": "XLON", "^N225": "XTKS", "^GDAXI": "XETR", "^MDAXI": "XETR", "^STOXX50E": "XETR",
    "^FCHI": "XPAR", "^AEX": "XAMS", "^BFX": "XBRU", "^SSMI": "XSWX", "^IBEX": "XMAD", "^HSI": "XHKG", "^AXJO": "XASX",
    "^GSPTSE": "XTSE", "^BSESN": "XBOM", "^NSEI": "XBOM", "^KS11": "XKRX", "^TWII": "XTAI", "^STI": "XSES", "^BVSP": "BVMF",
    "^MXX": "XMEX", "^JKSE": "XIDX", "^NZ50": "XNZE", "^OMX": "XSTO", "^STOXX": "XETR",
}  # fmt: skip


@lru_cache(maxsize=8192)
def normalise_symbol(symbol: str) -> str:
    """Bring the spellings of a symbol to one.

    >>> [normalise_symbol(s) for s in ("BTC/USD", "btcusd", "BTC_USDT", "1INCH-USD", "ETH-BTC")]
    ['BTC-USD', 'BTC-USD', 'BTC-USDT', '1INCH-USD', 'ETH-BTC']
    >>> [normalise_symbol(s) for s in (" aapl ", "BRK.B", "brk b", "RDS-A", "VOD.L", "7203.T", "DX-Y.NYB", "EUR/USD")]
    ['AAPL', 'BRK-B', 'BRK-B', 'RDS-A', 'VOD.L', '7203.T', 'DX-Y.NYB', 'EURUSD=X']
    """
    name = symbol.strip().upper()
    pair = _pair(name)
    if pair is not None:
        base, quote = pair
        return f"{base}{quote}=X" if _is_money(base) and quote in FIAT else f"{base}-{quote}"
    share = _CLASS.fullmatch(name)
    if share and not (share[2] == "." and share[3] in _ONE_LETTER_EXCHANGES):
        return f"{share[1]}-{share[3]}"
    return name.replace("/", "-")


@lru_cache(maxsize=8192)
def traits_of(symbol: str) -> Traits:
    """Return what the spelling of a symbol says; a plain name is a share in New York.

    >>> [traits_of(s).calendar for s in ("AAPL", "BRK-B", "DOT-USD", "VOD.L", "7203.T", "EURUSD=X", "ES=F", "^GSPC", "^N225")]
    ['XNYS', 'XNYS', '24/7', 'XLON', 'XTKS', '24/5', 'CMES', 'XNYS', 'XTKS']
    """
    name = normalise_symbol(symbol)
    if name.startswith("^"):
        return Traits(AssetClass.INDEX, "", _INDEX_CALENDARS.get(name, "XNYS"))
    if name.endswith("=X"):
        return Traits(AssetClass.FX, name[-5:-2] if name[-5:-2] in FIAT else "", "24/5")
    if name.endswith("=F"):
        return Traits(AssetClass.FUTURE, "USD", "CMES")
    pair = _pair(name)
    if pair is not None:
        return Traits(AssetClass.CRYPTO, pair[1], "24/7")
    calendar, currency = _LISTINGS.get(name.rpartition(".")[2] if "." in name else "", ("XNYS", "USD"))
    kind = {"NYB": AssetClass.INDEX}.get(
        name.rpartition(".")[2], AssetClass.FUTURE if calendar == "CMES" else AssetClass.EQUITY
    )
    return Traits(kind, currency, calendar)


def _pair(name: str) -> tuple[str, str] | None:
    """Return base and quote of a pair, None for any other name."""
    parted = _PAIR.fullmatch(name)
    if parted:
        base, quote = parted[1], parted[2]
        wanted = quote in _QUOTES and not base.isdigit() and base != quote
        return (_OTHER_NAMES.get(base, base), quote) if wanted else None
    joined = [(name.removesuffix(quote), quote) for quote in sorted(_QUOTES) if name.endswith(quote) and name != quote]
    found = next((pair for pair in joined if _joined(*pair)), None)
    return found and (_OTHER_NAMES.get(found[0], found[0]), found[1])


def _joined(base: str, quote: str) -> bool:
    """Return True when the two, written without a separator, are a pair: no share has such a name."""
    if base in _COINS:
        return True
    if not base.isalnum() or base.isdigit():
        return False
    if _is_money(base):
        return quote in FIAT or quote in _DOLLAR_COINS
    long_enough = {"USD": 3, **dict.fromkeys(_DOLLAR_COINS, 2)}  # six letters or more: no share has six
    return len(base) >= long_enough.get(quote, len(base) + 1)


def _is_money(base: str) -> bool:
    return base in FIAT or base in _METALS
