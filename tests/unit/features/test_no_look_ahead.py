"""Leakage and scale: what must hold for every feature there is, whatever it computes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from core.frames import BARS, FEATURES, PRICES
from features.build import build_features

CORPUS = Path(__file__).parents[3].parent / "shared" / "data"
PRICE_COLUMNS = [*PRICES, "adj_close"]
CUTS = [1, 2, 15, 61, 150, 259]


def bits(frame: pd.DataFrame, feature: str) -> np.ndarray:
    """The raw bits of a column: NaN equals NaN, and nothing else equals anything but itself."""
    return np.ascontiguousarray(frame[feature].to_numpy()).view("int64")


def head(frame: pd.DataFrame, rows: int) -> pd.DataFrame:
    return frame.groupby("symbol").head(rows).reset_index(drop=True)


@pytest.fixture(scope="module")
def full(bars, vix):
    return build_features(bars, vix)


@pytest.fixture(scope="module")
def truncated(bars, vix):
    """For each cut: features of the first bars alone, with the VIX of those sessions alone."""
    cut_bars = {cut: head(bars, cut) for cut in CUTS}
    return {cut: build_features(b, vix[vix["session"] <= b["session"].max()]) for cut, b in cut_bars.items()}


@pytest.fixture(scope="module")
def disturbed(bars, vix):
    """For each cut: features of all bars, everything after the cut replaced by noise."""
    return {cut: build_features(*_with_noise(bars, vix, cut)) for cut in CUTS}


def _with_noise(bars, vix, cut):
    rng = np.random.default_rng(cut)
    noisy, noisy_vix = bars.copy(), vix.copy()
    later = (noisy.groupby("symbol").cumcount() >= cut).to_numpy()
    count = int(later.sum())
    noise = np.sort(rng.uniform(0.01, 1e5, (count, 4)), axis=1)
    for column, values in zip(("low", "open", "close", "high"), noise.T, strict=True):
        noisy.loc[later, column] = values
    noisy.loc[later, ["adj_close", "volume"]] = rng.uniform(1, 1e12, (count, 2))
    later_vix = np.arange(len(noisy_vix)) >= cut
    noisy_vix.loc[later_vix, "close"] = rng.uniform(1, 1000, int(later_vix.sum()))
    return noisy, noisy_vix


@pytest.mark.parametrize("feature", FEATURES)
def test_truncated_history_gives_the_same_bits(feature, full, truncated):
    for cut, frame in truncated.items():
        np.testing.assert_array_equal(bits(frame, feature), bits(head(full, cut), feature), err_msg=f"{cut} bars")


@pytest.mark.parametrize("feature", FEATURES)
def test_a_noisy_future_gives_the_same_bits(feature, full, disturbed):
    for cut, frame in disturbed.items():
        np.testing.assert_array_equal(bits(head(frame, cut), feature), bits(head(full, cut), feature), err_msg=f"{cut} bars")


def test_the_noise_does_reach_the_future(full, disturbed):
    """Guards the test above: noise that changed nothing would prove nothing."""
    cut = 61
    for feature in FEATURES:
        assert (bits(disturbed[cut], feature) != bits(full, feature)).any(), feature


@pytest.mark.parametrize("price", [0.001, 1 / 3, 7.0, 1e6])
def test_scaling_the_prices_of_a_symbol_leaves_every_feature(price, bars, vix, full):
    scaled = bars.copy()
    scaled.loc[scaled["symbol"] == "AAA", PRICE_COLUMNS] *= price
    _assert_same(build_features(scaled, vix), full)


@pytest.mark.parametrize("volume", [0.01, 1 / 3, 1000.0])
def test_scaling_the_volume_of_a_symbol_leaves_every_feature(volume, bars, vix, full):
    scaled = bars.copy()
    scaled.loc[scaled["symbol"] == "BBB", "volume"] *= volume
    _assert_same(build_features(scaled, vix), full)


@pytest.mark.parametrize("split", [2, 3, 7, 20])
def test_adjusting_history_for_a_split_leaves_every_feature(split, bars, vix, full):
    adjusted = bars.copy()
    adjusted[PRICE_COLUMNS] /= split
    adjusted["volume"] *= split
    _assert_same(build_features(adjusted, vix), full)


def test_dividend_adjustment_is_not_an_input(bars, vix, full):
    _assert_same(build_features(bars.assign(adj_close=1.0), vix), full)


def test_a_symbol_does_not_depend_on_its_neighbours(bars, vix, full):
    alone = build_features(bars[bars["symbol"] == "BBB"].reset_index(drop=True), vix)
    for feature in FEATURES:
        np.testing.assert_array_equal(bits(alone, feature), bits(full[full["symbol"] == "BBB"], feature))


@pytest.mark.corpus
@pytest.mark.skipif(not CORPUS.exists(), reason="needs the real bars of ../shared/data beside the checkout")
def test_real_bars_leak_nothing_and_survive_a_split():
    """Real prices move in whole cents and fall a thousandfold, which is where rounding shows: hence 1e-7 on the scale."""
    raw = pd.read_parquet(CORPUS / "daily_bars.parquet").rename(columns={"date": "session"})
    bars = BARS.coerce(raw[raw["symbol"].isin(["AAPL", "SQQQ", "XLE"])])
    vix = pd.read_csv(CORPUS / "vix_daily.csv", parse_dates=["date"]).rename(columns={"date": "session"})
    full = build_features(bars, vix)
    cut = build_features(head(bars, 1500), vix)
    for feature in FEATURES:
        np.testing.assert_array_equal(bits(cut, feature), bits(head(full, 1500), feature))
    bars[PRICE_COLUMNS] /= 7
    bars["volume"] *= 7
    _assert_same(build_features(bars, vix), full, rtol=1e-7, atol=1e-8)


def _assert_same(found: pd.DataFrame, expected: pd.DataFrame, rtol: float = 1e-9, atol: float = 1e-10) -> None:
    """Equal up to rounding; atol for values that are differences of nearly equal prices."""
    for feature in FEATURES:
        np.testing.assert_allclose(found[feature], expected[feature], rtol=rtol, atol=atol, err_msg=feature)
