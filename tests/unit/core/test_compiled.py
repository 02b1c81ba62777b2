"""The kernels' disk cache: a hit is read back, and whatever cannot be read counts as empty."""

from __future__ import annotations

import importlib.util
import sys
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

NAME = "a_kernel_of_the_test"
SOURCE = """
from typing import NamedTuple

from core.compiled import compiled


class {kind}(NamedTuple):
    stop: float
    target: float


@compiled
def width(rules: {kind}) -> float:
    return rules.target - rules.stop


def ask() -> float:
    return width({kind}(1.0, 3.0))
"""


@pytest.fixture
def loaded(tmp_path: Path) -> Iterator[Callable[[str], Any]]:
    """Import the module anew, as the next process would, with its type under the name given."""

    def load(kind: str) -> Any:  # a module
        path = tmp_path / f"{NAME}.py"
        text = SOURCE.format(kind=kind)
        if not path.exists() or path.read_text() != text:
            path.write_text(text)
        spec = importlib.util.spec_from_file_location(NAME, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[NAME] = module
        spec.loader.exec_module(module)
        return module

    yield load
    sys.modules.pop(NAME, None)


def hits(module: Any) -> int:  # a module
    return sum(module.width.stats.cache_hits.values())


def cached(tmp_path: Path, ending: str) -> Path:
    (found,) = tmp_path.rglob(f"*{ending}")
    return found


def test_the_next_process_reads_what_this_one_compiled(loaded: Callable[[str], Any]) -> None:
    loaded("Rules").ask()

    module = loaded("Rules")

    assert (module.ask(), hits(module)) == (2.0, 1)


def test_an_index_from_before_a_type_was_renamed_counts_as_empty(loaded: Callable[[str], Any]) -> None:
    loaded("Rules").ask()

    module = loaded("LineRules")

    assert (module.ask(), hits(module)) == (2.0, 0)
    module = loaded("LineRules")
    assert (module.ask(), hits(module)) == (2.0, 1)


@pytest.mark.parametrize("ending", [".nbi", ".nbc"])
@pytest.mark.parametrize("content", [b"", b"no pickle at all", None], ids=["empty", "foreign", "cut in half"])
def test_a_broken_file_counts_as_empty_and_is_written_again(
    loaded: Callable[[str], Any], tmp_path: Path, ending: str, content: bytes | None
) -> None:
    loaded("Rules").ask()
    file = cached(tmp_path, ending)
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2] if content is None else content)

    module = loaded("Rules")

    assert (module.ask(), hits(module)) == (2.0, 0)
    module = loaded("Rules")
    assert (module.ask(), hits(module)) == (2.0, 1)
