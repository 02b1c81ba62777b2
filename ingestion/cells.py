"""Read numbers and dates from the text of a field. Nothing is guessed: other text becomes NaN or NaT, and validation quotes it.

A number is digits with a decimal point and, perhaps, a sign or an exponent. `$10`, `1,000` and `1.2M` are none: a comma is
the decimal point of half the world.

A date has its year first (`2020-01-02`, `2020/1/2`, `20200102`, `2020-01-02T16:00:00-05:00`) or is a count of seconds,
milliseconds, microseconds or nanoseconds since 1970. `01/02/2020` is none: day and month cannot be told apart.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

from core.frames import INSTANT, SESSION

if TYPE_CHECKING:
    from numpy.typing import NDArray

_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_PLAIN = frozenset("0123456789.+-eE")
_DATE: Final = (
    r"^(?P<y>\d{4})(?P<s>[-/.]?)(?P<m>\d{1,2})(?P=s)(?P<d>\d{1,2})"
    r"(?:[T ]+(?P<time>\d{1,2}:\d{2}(?::\d{2}(?:\.\d+)?)?)\s*(?P<zone>Z|UTC|[+-]\d{2}:?\d{2})?)?$"
)
_EPOCH: Final = {9: "s", 10: "s", 12: "ms", 13: "ms", 15: "us", 16: "us", 18: "ns", 19: "ns"}  # digits -> unit
_USUAL: Final = len("2020-01-31")
_NOTHING: Final = frozenset({"", "nan", "nat", "none", "<na>"})


def as_text(values: pd.Series) -> pd.Series:
    """Return every value as stripped text; a missing one is empty."""
    text = values.astype(object).where(values.notna(), "").map(lambda value: str(value).strip())
    return text.where(~text.str.lower().isin(_NOTHING), "").astype(object)


def numbers(values: pd.Series) -> pd.Series:
    """Return the numbers of a column as float64, NaN where the text is no plain number.

    >>> numbers(pd.Series(["139.96", " 7 ", "$10", "1,000", "1_000", None])).tolist()
    [139.96, 7.0, nan, nan, nan, nan]
    """
    if pd.api.types.is_numeric_dtype(values.dtype) and not pd.api.types.is_bool_dtype(values.dtype):
        return pd.Series(values.to_numpy(dtype="float64", na_value=np.nan), index=values.index)
    whole = _plain_numbers(values.tolist())
    if whole is not None:
        return pd.Series(whole, index=values.index)
    text = as_text(values).tolist()
    read = [float(each) if _NUMBER.fullmatch(each) else np.nan for each in text]
    return pd.Series(read, index=values.index, dtype="float64")


def labels_and_instants(stamps: pd.Series) -> tuple[pd.Series, pd.Series]:
    """Return the date that each stamp labels (tz-naive midnight) and the instant (UTC) that it is, one of them NaT.

    A stamp without a zone, or at midnight in its own zone or in UTC, labels a date. Any other is an instant. Both are NaT
    where the stamp is unreadable.

    >>> days, instants = labels_and_instants(pd.Series(["2021-7-2", "2021-07-02T01:30Z", "20210702", "02/07/2021"]))
    >>> days.dt.strftime("%Y-%m-%d").tolist(), instants.dt.strftime("%d %H:%M").tolist()
    (['2021-07-02', nan, '2021-07-02', nan], [nan, '02 01:30', nan, nan])
    """
    if isinstance(stamps.dtype, pd.DatetimeTZDtype) or pd.api.types.is_datetime64_dtype(stamps.dtype):
        try:
            return _of_datetimes(stamps.dt.as_unit("ns"))
        except pd.errors.OutOfBoundsDatetime:
            pass  # a year that nanoseconds cannot hold: read one by one
    usual = [value if isinstance(value, str) and len(value) == _USUAL else None for value in stamps]
    plain = pd.to_datetime(pd.Series(usual, index=stamps.index, dtype=object), format="%Y-%m-%d", errors="coerce")
    labels, instants = pd.Series(plain, dtype=SESSION), pd.Series(pd.NaT, index=stamps.index, dtype=INSTANT)
    other = labels.isna()
    if other.any():
        labels.loc[other], instants.loc[other] = _of_text(stamps[other])
    return labels, instants


def _plain_numbers(values: list[object]) -> NDArray[np.float64] | None:
    """Return the numbers of a column whose every field is plain text of a number, else None."""
    texts = [value for value in values if isinstance(value, str) and value]
    if len(texts) < len(values) or not frozenset("".join(texts)) <= _PLAIN:
        return None
    try:
        return np.array(texts, dtype="float64")
    except ValueError:
        return None  # "1.2.3": judged one by one


def _of_text(stamps: pd.Series) -> tuple[pd.Series, pd.Series]:
    """Return labels and instants of stamps in any of the forms that the module's docstring lists."""
    text = as_text(stamps).str.removesuffix(".0")  # whole numbers of a column with a gap
    labels = pd.Series(pd.NaT, index=stamps.index, dtype=SESSION)
    instants = pd.Series(pd.NaT, index=stamps.index, dtype=INSTANT)
    dated = text.str.extract(_DATE)
    written = dated["y"].notna() & ((dated["s"] != "") | (text.str.len().eq(8) | text.str.match(r"^\d{8}[T ]")))
    if written.any():
        labels.loc[written], instants.loc[written] = _of_dates(dated[written])
    for digits, unit in _EPOCH.items():
        counted = text.str.fullmatch(rf"\d{{{digits}}}") & ~written
        if counted.any():
            moments = pd.to_datetime(text[counted].astype("int64"), unit=unit, utc=True, errors="coerce").astype(INSTANT)  # type: ignore[call-overload]
            labels.loc[counted], instants.loc[counted] = _of_datetimes(moments)
    return labels, instants


def _of_datetimes(stamps: pd.Series) -> tuple[pd.Series, pd.Series]:
    if not isinstance(stamps.dtype, pd.DatetimeTZDtype):
        return pd.Series(stamps.dt.normalize(), dtype=SESSION), pd.Series(pd.NaT, index=stamps.index, dtype=INSTANT)
    own, utc = stamps.dt.tz_localize(None), stamps.dt.tz_convert("UTC").astype(INSTANT)
    naive = utc.dt.tz_localize(None)
    labels = own.where(own == own.dt.normalize(), naive.where(naive == naive.dt.normalize()))
    return pd.Series(labels, dtype=SESSION), utc.where(labels.isna())


def _of_dates(parts: pd.DataFrame) -> tuple[pd.Series, pd.Series]:
    """Return labels and instants of dates that are split into year, month, day, time and zone."""
    day = parts["y"] + "-" + parts["m"].str.zfill(2) + "-" + parts["d"].str.zfill(2)
    time = parts["time"].fillna("00:00").map(lambda text: text if text[1] != ":" else f"0{text}")
    zone = parts["zone"].fillna("").replace("UTC", "Z")
    date = pd.to_datetime(day, format="%Y-%m-%d", errors="coerce").astype(SESSION)
    moment = pd.to_datetime(day + "T" + time + zone.where(zone != "", "Z"), format="ISO8601", utc=True, errors="coerce")
    moment = moment.astype(INSTANT)
    midnight: NDArray[np.bool_] = ~time.str.contains("[1-9]").to_numpy()
    naive = moment.dt.tz_localize(None)
    labels = date.where((zone == "") | midnight, naive.where(naive == naive.dt.normalize()))
    labels = labels.where(moment.notna())  # 25:00 is no time of any day
    return pd.Series(labels, dtype=SESSION), moment.where(labels.isna())
