from __future__ import annotations

import datetime as dt
import json
import re
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING
from urllib.parse import unquote

import pandas as pd

from core.frames import BARS
from core.sessions import sessions_between
from ingestion.data_docs import build_data_docs
from ingestion.expectations import validate

if TYPE_CHECKING:
    from pathlib import Path


def results(symbol: str) -> dict[str, object]:
    days = sessions_between(dt.date(2021, 7, 1), dt.date(2021, 7, 9))
    frame = pd.DataFrame(
        {"symbol": symbol, "session": days, "open": 9.0, "high": 8.0, "low": 7.0, "close": 7.5, "adj_close": 7.5}
    )
    verdict = validate(frame.assign(volume=1.0).astype(dict(BARS.columns)), session=dt.date(2021, 7, 9))
    stored: dict[str, object] = json.loads(json.dumps(verdict.results))
    return stored


def test_the_site_has_a_page_for_each_suite_of_each_batch(tmp_path: Path) -> None:
    index = build_data_docs([results("AAA"), results("BBB")], tmp_path / "docs")

    pages = sorted(path.name for path in (tmp_path / "docs" / "validations").rglob("*.html"))
    assert pages == ["AAA-0.html", "AAA-0.html", "BBB-1.html", "BBB-1.html"]
    assert "daily_bars" in index.read_text()
    overview = index.read_text().split("<caption>Batches</caption>")[1]
    assert "<td>AAA</td>" in overview
    assert re.search(r"\d of \d rows refused", overview)
    for link in re.findall(r'href="(validations[^"]+)"', overview):
        assert (tmp_path / "docs" / unquote(link)).is_file(), "every link leads somewhere"


def test_a_rebuild_replaces_the_site_and_leaves_nothing_behind(tmp_path: Path) -> None:
    build_data_docs([results("AAA")], tmp_path / "docs")
    build_data_docs([results("BBB")], tmp_path / "docs")

    names = {path.name for path in (tmp_path / "docs" / "validations").rglob("*.html")}
    assert names == {"BBB-0.html"}
    assert {path.name for path in tmp_path.iterdir()} == {"docs", ".docs.lock"}


def test_builders_side_by_side_leave_one_whole_site(tmp_path: Path) -> None:
    batches = [results("AAA"), results("BBB")]
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda batch: build_data_docs([batch], tmp_path / "docs"), batches))

    assert (tmp_path / "docs" / "index.html").is_file()
    assert len(list((tmp_path / "docs" / "validations").rglob("*.html"))) == 2
