from __future__ import annotations

import datetime as dt
from pathlib import Path

import pandas as pd
import pytest

from core.errors import ConfigError
from core.frames import BARS
from core.settings import Settings
from ingestion.providers.files import FilesProvider
from ingestion.providers.registry import make_provider
from ingestion.providers.sample import SampleProvider
from ingestion.providers.yahoo import YahooProvider

CORPUS = Path(__file__).resolve().parents[3].parent / "shared" / "data"
START, END = dt.date(2021, 7, 1), dt.date(2021, 7, 9)


def write(path: Path, **columns: object) -> None:
    pd.DataFrame(columns).to_csv(path, index=False)


def test_the_sample_holds_the_published_closes() -> None:
    found = SampleProvider().fetch(["^GSPC", "^IXIC", "^VIX"], dt.date(1999, 1, 1), dt.date(2019, 12, 31)).bars

    BARS.check(found)
    assert found["symbol"].value_counts().to_dict() == {"^GSPC": 5031, "^IXIC": 5031, "^VIX": 1259}
    close = found.set_index(["symbol", "session"])["close"]
    assert close["^GSPC", pd.Timestamp("2008-10-13")] == pytest.approx(1003.35, abs=0.005)
    assert close["^VIX", pd.Timestamp("2018-02-05")] == 37.32


def test_vix_of_the_sample_is_its_close_in_every_price() -> None:
    vix = SampleProvider().fetch(["^VIX"], dt.date(2018, 2, 5), dt.date(2018, 2, 5)).bars

    assert vix[["open", "high", "low", "close"]].iloc[0].tolist() == [37.32] * 4


def test_a_folder_may_mix_one_symbol_and_many_symbol_files(tmp_path: Path) -> None:
    write(tmp_path / "AAPL.csv", Date=["2021-07-02"], Close=[139.96])
    write(tmp_path / "VIX_daily.csv", date=["2021-07-02"], close=[15.07])
    many = pd.DataFrame({"symbol": ["SPY", "QQQ"], "date": pd.to_datetime(["2021-07-02"] * 2), "close": [433.72, 358.64]})
    many.to_parquet(tmp_path / "etfs.parquet")
    (tmp_path / "README.md").write_text("not data")

    provider = FilesProvider(tmp_path)

    assert provider.default_universe == ("AAPL", "QQQ", "SPY")
    found = provider.fetch(["AAPL", "SPY", "QQQ", "^VIX"], START, END)
    assert found.bars[["symbol", "close"]].to_numpy().tolist() == [
        ["AAPL", 139.96],
        ["QQQ", 358.64],
        ["SPY", 433.72],
        ["^VIX", 15.07],
    ]


def test_files_without_daily_bars_are_left_out_with_a_reason(tmp_path: Path) -> None:
    write(tmp_path / "AAPL.csv", date=["2021-07-02"], close=[139.96])
    minutes = pd.date_range("2021-07-02 13:30", periods=20, freq="5min", tz="UTC")
    pd.DataFrame({"symbol": "SPY", "ts": minutes, "close": 1.0}).to_parquet(tmp_path / "minutes.parquet")
    write(tmp_path / "trades.csv", date=["2021-07-02"], quantity=[1])
    (tmp_path / "broken.parquet").write_bytes(b"not parquet")
    (tmp_path / "empty.csv").write_text("")

    provider = FilesProvider(tmp_path)

    assert provider.default_universe == ("AAPL",)
    assert set(provider.ignored) == {"minutes.parquet", "trades.csv", "broken.parquet", "empty.csv"}
    assert "intraday" in provider.ignored["minutes.parquet"]
    assert "no close" in provider.ignored["trades.csv"]


def test_duplicate_and_broken_rows_of_a_file_reach_validation(tmp_path: Path) -> None:
    write(tmp_path / "AAPL.csv", date=["2021-07-02", "2021-07-02", "2021-07-06", "someday"], close=[139.96, 139.96, None, 1])

    assert len(FilesProvider(tmp_path).fetch(["AAPL"], START, END).bars) == 4


def test_a_folder_that_does_not_exist_is_a_configuration_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="FILES_DIR"):
        FilesProvider(tmp_path / "nowhere").fetch(["AAPL"], START, END)


def test_an_empty_folder_knows_no_symbol(tmp_path: Path) -> None:
    provider = FilesProvider(tmp_path)

    assert provider.default_universe == ()
    assert "unknown" in provider.fetch(["AAPL"], START, END).failed["AAPL"]


@pytest.mark.corpus
@pytest.mark.skipif(not CORPUS.is_dir(), reason="../shared/data is not beside this checkout")
def test_the_corpus_is_read_whole_and_its_intraday_file_left_out(tmp_path: Path) -> None:
    for name in ("daily_bars.parquet", "intraday_5m.parquet", "vix_daily.csv"):  # other files may lie beside them
        (tmp_path / name).symlink_to(CORPUS / name)
    provider = FilesProvider(tmp_path)

    found = provider.fetch([*provider.default_universe, "^VIX"], dt.date(2004, 1, 1), dt.date(2021, 12, 31))

    assert len(provider.default_universe) == 19
    assert list(provider.ignored) == ["intraday_5m.parquet"]
    assert found.bars["symbol"].eq("^VIX").sum() == 4533
    assert len(found.bars) == 54_825 + 4_533
    assert found.failed == {}


def test_the_settings_choose_the_provider(tmp_path: Path) -> None:
    assert isinstance(make_provider(Settings(provider="sample", _env_file=None)), SampleProvider)
    files = make_provider(Settings(provider="files", files_dir=tmp_path, _env_file=None))
    assert isinstance(files, FilesProvider)
    assert files.folder == tmp_path
    yahoo = make_provider(Settings(provider="yfinance", data_dir=tmp_path, _env_file=None))
    assert isinstance(yahoo, YahooProvider)
    assert yahoo.cache_dir == tmp_path / "yfinance"
