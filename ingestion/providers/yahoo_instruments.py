"""Instruments from the metadata of Yahoo's bars: kind, currency, exchange."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from core.errors import ConfigError
from core.instruments import NAME_AT, checked
from core.symbols import AssetClass, normalise_symbol

if TYPE_CHECKING:
    from collections.abc import Mapping

_KINDS: Final = {
    "EQUITY": AssetClass.EQUITY,
    "ETF": AssetClass.FUND,
    "MUTUALFUND": AssetClass.FUND,
    "INDEX": AssetClass.INDEX,
    "FUTURE": AssetClass.FUTURE,
    "CURRENCY": AssetClass.FX,
    "CRYPTOCURRENCY": AssetClass.CRYPTO,
}
# Yahoo's code of an exchange -> calendar. What is not here keeps the calendar of the rule.
_EXCHANGES: Final = {
    **dict.fromkeys(("NMS", "NGM", "NCM", "NYQ", "ASE", "PCX", "BTS", "PNK", "OQB", "OQX", "NAS", "SNP", "DJI", "NIM"), "XNYS"),
    **dict.fromkeys(("LSE", "IOB", "FGI"), "XLON"), **dict.fromkeys(("TOR", "VAN", "NEO", "CNQ"), "XTSE"),
    **dict.fromkeys(("CME", "CBT", "CMX", "NYM"), "CMES"), "NYB": "IEPA", "CCC": "24/7", "CCY": "24/5",
    "JPX": "XTKS", "OSA": "XTKS", "GER": "XETR", "FRA": "XFRA", "PAR": "XPAR", "AMS": "XAMS", "BRU": "XBRU", "LIS": "XLIS",
    "MIL": "XMIL", "MCE": "XMAD", "EBS": "XSWX", "STO": "XSTO", "CPH": "XCSE", "HEL": "XHEL", "OSL": "XOSL", "VIE": "XWBO",
    "ISE": "XDUB", "WSE": "XWAR", "HKG": "XHKG", "SHH": "XSHG", "SHZ": "XSHG", "KSC": "XKRX", "KOE": "XKRX", "TAI": "XTAI",
    "SES": "XSES", "ASX": "XASX", "NZE": "XNZE", "BSE": "XBOM", "NSI": "XBOM", "SAO": "BVMF", "MEX": "XMEX", "JNB": "XJSE",
}  # fmt: skip


def fields_of(metadata: Mapping[str, Any], name: str) -> dict[str, str]:
    """Return the fields of the table of instruments that the metadata of a chart say; what is unreadable is left out.

    >>> fields_of({"instrumentType": "EQUITY", "currency": "GBp", "exchangeName": "LSE", "symbol": "VOD.L"}, "VOD.L")
    {'asset_class': 'equity', 'currency': 'GBp', 'calendar': 'XLON'}
    """
    kind = _KINDS.get(str(metadata.get("instrumentType")))
    spelling = str(metadata.get("symbol") or "")
    said = {
        "asset_class": "" if kind is None else kind.value,
        "currency": metadata.get("currency") or "",
        "calendar": _EXCHANGES.get(str(metadata.get("exchangeName")), ""),
        f"{NAME_AT}yfinance": spelling if normalise_symbol(spelling) == name != spelling else "",
    }
    return {field: value for field, value in said.items() if value and _is_possible(field, str(value))}


def _is_possible(field: str, value: str) -> bool:
    try:
        checked(field, value)
    except ConfigError:
        return False
    return True
