"""Models as files whose bytes depend only on what was learnt: their canonical form, and the loading.

skops names parts by their memory address and stamps its archive with the time, so that no two files are the same. Here parts
are counted in the order in which they stand, and the stamp is the earliest one a zip archive knows.
"""

from __future__ import annotations

import io
import json
import zipfile
from importlib.metadata import version as installed
from itertools import count
from typing import TYPE_CHECKING, Any

from core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

SCHEMA = "schema.json"
EPOCH = (1980, 1, 1, 0, 0, 0)
UNIX = 3


def pinned(*packages: str) -> list[str]:
    """Return the requirements of exactly the installed versions.

    MLflow starts a process that loads the model, five seconds each, to find the requirements of a model logged without them.
    """
    return [f"{package}=={installed(package)}" for package in packages]


def skops_bytes(estimator: Any) -> bytes:  # noqa: ANN401  # a fitted scikit-learn estimator
    """A scikit-learn estimator in the canonical form."""
    import skops.io  # type: ignore[import-untyped]

    return canonical(skops.io.dumps(estimator))


def read_estimator(path: Path, trusted: Sequence[str], remedy: str) -> Any:  # noqa: ANN401  # a Booster or an estimator
    """Read a model from LightGBM's text (`.lgb`), else from a skops archive. Nothing in either is executed.

    Parameters
    ----------
    trusted
        Types that the archive may name, beyond those that skops itself knows to be harmless.

    Raises
    ------
    ConfigError
        When the file is not of its format, or names types that are not trusted.
    """
    try:
        if path.suffix == ".lgb":
            from lightgbm import Booster

            return Booster(model_str=path.read_text())
        from skops.io import load

        return load(path, trusted=list(trusted))
    except Exception as error:  # every library has its own
        raise ConfigError(f"The stored model {path.name} cannot be read safely: {error}. {remedy}") from error


def canonical(stored: bytes) -> bytes:
    """The same skops archive with its parts renamed and its stamps fixed."""
    with zipfile.ZipFile(io.BytesIO(stored)) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    schema = json.loads(parts.pop(SCHEMA))
    names = _renamed(schema)
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        for old, new in names.items():
            archive.writestr(_entry(new), parts[old])
        archive.writestr(_entry(SCHEMA), json.dumps(schema, indent=2))
    return written.getvalue()


class SklearnFlavour:
    """MLflow's scikit-learn flavour with the file it leaves behind in canonical form; what `Model.log` asks of a flavour."""

    @staticmethod
    def save_model(path: str, **about: Any) -> None:  # noqa: ANN401  # MLflow's arguments
        """Save as `mlflow.sklearn.save_model`, then rewrite the archive."""
        from pathlib import Path

        import mlflow.sklearn

        mlflow.sklearn.save_model(path=path, serialization_format="skops", **about)
        _rewrite(Path(path) / "model.skops")


def _rewrite(file: Path) -> None:
    file.write_bytes(canonical(file.read_bytes()))


def _renamed(schema: dict[str, Any]) -> dict[str, str]:
    """Count the parts of a schema, in place; returns the new name of each file.

    Texts and numbers that happen to share an address in one process are told apart: whether they do says nothing.
    """
    number = count()
    seen: dict[int, int] = {}
    files: dict[str, str] = {}
    for node in _nodes(schema):
        if "__id__" in node:
            old = node["__id__"]
            node["__id__"] = next(number) if node.get("is_json") else seen.setdefault(old, next(number))
        if isinstance(node.get("file"), str):
            old_name = node["file"]
            node["file"] = files.setdefault(old_name, f"{len(files)}.{old_name.rpartition('.')[2]}")
    return files


def _nodes(value: Any) -> Iterator[dict[str, Any]]:  # noqa: ANN401  # a parsed document
    """Every object of a parsed JSON document, in its order."""
    if isinstance(value, dict):
        yield value
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _nodes(item)


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, EPOCH)
    entry.create_system = UNIX
    return entry
