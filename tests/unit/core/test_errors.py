"""Messages that say what to do."""

from __future__ import annotations

from core.errors import DataError, DeskError, NoChampion, UnknownSymbol


def test_an_unknown_symbol_suggests_the_nearest() -> None:
    error = UnknownSymbol("APPL", ["AAPL", "MSFT"])
    assert "Did you mean AAPL?" in str(error)
    assert isinstance(error, DataError)


def test_an_unknown_symbol_without_neighbours_says_how_to_load_it() -> None:
    assert "desk ingest" in str(UnknownSymbol("ZZZZ"))


def test_a_known_symbol_without_bars_is_not_suggested_for_itself() -> None:
    assert "desk ingest" in str(UnknownSymbol("^GSPC", ["^GSPC"]))


def test_every_error_has_one_root() -> None:
    assert issubclass(NoChampion, DeskError)
