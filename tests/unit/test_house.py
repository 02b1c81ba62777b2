"""Rules of the house: complete lists of packages, who may hold the container, where SQL stands, the words of the glossary."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from core import compiled
from ml.tracking import lineage

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = sorted(path.parent.name for path in ROOT.glob("*/__init__.py"))
FOLDERS = sorted({*PACKAGES, "dags", "feature_repo", "tests"})
# Functions below an entry point that take the container all the same, each with its reason. The list only gets shorter.
TAKES_THE_CONTAINER = {
    "pipeline/execution/daily_report.py": {"evening_of"},  # the mail reads every store of the evening
    "pipeline/execution/daily_trade.py": {"_order_checks", "_send", "rerun_rules"},  # compose the checks and the sending
    "pipeline/execution/order_listener.py": {"_listen"},  # body of its entry point, once the lock is held
    "pipeline/research/chain.py": {"_evaluate", "_stored_shortlist"},  # steps of the chain, which call other steps
    "pipeline/training/promotion.py": {"_aliases"},  # picks the registry of a kind of model, opened on first use
}
MOST_LINES = 400
COMPOSITION_ROOT = "pipeline/resources.py"
SHELLS = ("desk/", "serving/")  # they hold the container for a process, a command or an application
# Words for which the field has a term (docs/glossary.md): found -> resources or what it is, known -> point-in-time, ...
DIALECT = {"ask", "asked", "asks", "found", "keep", "keeps", "kept", "known", "knows", "look", "looks", "said", "say", "says"}
DIALECT |= {"tell", "tells", "told", "weigh", "weighed", "worth"}
DIALECT_THAT_STAYS = {
    "dags/model_monitoring.py": {"ask_for_training", "look_for_drift", "look_for_skew"},  # task ids outlive a release
    "storage/features/point_in_time.py": {"LookUps"},  # a look-up is the field's word for it
}


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_the_tools_read_every_package(project: dict[str, Any]) -> None:
    tools = project["tool"]
    assert sorted(tools["mypy"]["packages"]) == PACKAGES
    assert sorted(tools["coverage"]["run"]["source"]) == PACKAGES
    assert sorted(tools["importlinter"]["root_packages"]) == sorted({*PACKAGES, "dags"})
    strict = next(line for line in tools["pytest"]["ini_options"]["filterwarnings"] if line.startswith("error:::"))
    assert sorted(re.findall(r"\w+", strict.removeprefix("error:::(").partition(")")[0])) == sorted({*PACKAGES, "tests"})


def test_the_makefile_and_the_image_take_every_folder() -> None:
    code = re.search(r"^CODE := (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert code
    assert sorted(code[1].split()) == sorted([*FOLDERS, "setup.py"])
    copied = re.findall(r"^COPY (\w+)/ ", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert sorted(copied) == sorted(set(FOLDERS) - {"tests"})


def test_the_dashboard_may_import_no_module_of_ours_but_its_own(project: dict[str, Any]) -> None:
    rules = {each["id"]: each for each in project["tool"]["importlinter"]["contracts"]}
    beside = {f"monitoring.{path.stem}" for path in (ROOT / "monitoring").iterdir() if path.suffix == ".py" or path.is_dir()}
    ours = {*PACKAGES, "dags"} - {"monitoring"} | beside - {"monitoring.__init__", "monitoring.__pycache__"}
    assert set(rules["dashboard"]["forbidden_modules"]) == ours - {"monitoring.dashboard"}
    assert rules["dashboard-apart"]["protected_modules"] == ["monitoring.dashboard"]


def test_every_folder_of_code_is_a_package() -> None:
    folders = {path.parent for package in PACKAGES for path in (ROOT / package).rglob("*.py")}
    bare = {str(folder.relative_to(ROOT)) for folder in folders if not (folder / "__init__.py").exists()}
    assert bare == {"storage/migrations", "storage/migrations/versions"}  # alembic runs them by path


def test_every_per_file_rule_and_test_path_matches_something(project: dict[str, Any]) -> None:
    patterns = [each for name in project["tool"]["ruff"]["lint"]["per-file-ignores"] for each in expanded(name)]
    paths = project["tool"]["pytest"]["ini_options"]["testpaths"]
    assert [pattern for pattern in (*patterns, *paths) if not list(ROOT.glob(pattern))] == []


def test_the_version_of_the_code_covers_every_room_that_a_model_depends_on() -> None:
    covered = {path.relative_to(ROOT) for path in lineage.sources(ROOT)}
    layers = ("core", "features", "trading", "backtest", "research", "ml")
    assert covered == {path.relative_to(ROOT) for name in layers for path in (ROOT / name).rglob("*.py")}


def test_the_stamp_of_the_kernels_covers_every_compiled_function() -> None:
    written = {
        path.relative_to(ROOT).parts[0] for package in PACKAGES for path in (ROOT / package).rglob("*.py") if decorated(path)
    }
    assert written - {"core"} <= set(compiled.PACKAGES)


def decorated(path: Path) -> bool:
    return "\n@compiled" in path.read_text()


def expanded(pattern: str) -> list[str]:
    """A pattern with its braces written out."""
    match = re.match(r"(.*)\{(.*)\}(.*)", pattern)
    return [f"{match[1]}{part}{match[3]}" for part in match[2].split(",")] if match else [pattern]


def product_code() -> list[tuple[str, ast.Module]]:
    """Every module of the product with its path, migrations left out."""
    paths = sorted(path for package in (*PACKAGES, "dags") for path in (ROOT / package).rglob("*.py"))
    return [(str(path.relative_to(ROOT)), ast.parse(path.read_text())) for path in paths if "migrations" not in path.parts]


def functions(tree: ast.Module) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def is_entry_point(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """It can be called without the container: `*, resources: Resources | None = None`."""
    named = zip(function.args.kwonlyargs, function.args.kw_defaults, strict=True)
    return any(
        given.arg == "resources" and isinstance(default, ast.Constant) and default.value is None for given, default in named
    )


def assembles_parts(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """The class method `of`, which takes the parts of a step from the container."""
    return function.name == "of" and any(
        isinstance(each, ast.Name) and each.id == "classmethod" for each in function.decorator_list
    )


def takes_the_container(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    arguments = function.args.posonlyargs + function.args.args + function.args.kwonlyargs
    names = [
        node for given in arguments if given.annotation for node in ast.walk(given.annotation) if isinstance(node, ast.Name)
    ]
    return any(node.id == "Resources" for node in names)


def calls(function: ast.AST, name: str) -> bool:
    return any(
        isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name for node in ast.walk(function)
    )


def test_the_container_is_named_in_the_composition_root_and_entry_points_only() -> None:
    named: dict[str, set[str]] = {}
    for path, tree in product_code():
        if path == COMPOSITION_ROOT or path.startswith(SHELLS):
            continue
        below = [each for each in functions(tree) if not is_entry_point(each) and not assembles_parts(each)]
        if taking := {each.name for each in below if takes_the_container(each)}:
            named[path] = taking
    assert named == TAKES_THE_CONTAINER


def test_the_processs_resources_are_taken_in_entry_points_and_shells_only() -> None:
    elsewhere = {
        f"{path}:{function.name}"
        for path, tree in product_code()
        if path != COMPOSITION_ROOT and not path.startswith(SHELLS)
        for function in functions(tree)
        if calls(function, "live") and not is_entry_point(function)
    }
    assert elsewhere == set()


def test_sql_as_text_stands_in_storage_only() -> None:
    elsewhere = {
        f"{path}:{node.lineno}"
        for path, tree in product_code()
        if not path.startswith("storage/")
        for node in ast.walk(tree)
        if (isinstance(node, ast.Call) and ast.unparse(node.func) in {"sa.text", "sqlalchemy.text"})
        or (isinstance(node, ast.ImportFrom) and node.module == "sqlalchemy" and "text" in {each.name for each in node.names})
    }
    assert elsewhere == set()


def test_no_property_changes_the_environment() -> None:
    changing = {"setdefault", "update", "pop", "clear"}
    writers = set()
    for path, tree in product_code():
        for function in functions(tree):
            if not any("property" in ast.unparse(each) for each in function.decorator_list):
                continue
            for node in ast.walk(function):
                stored = isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store | ast.Del)
                if stored and ast.unparse(node.value) == "os.environ":
                    writers.add(f"{path}:{function.name}")
                called = isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in changing
                if called and ast.unparse(node.func.value) == "os.environ":
                    writers.add(f"{path}:{function.name}")
    assert writers == set()


def test_modules_and_public_names_use_the_words_of_the_glossary() -> None:
    spoken: dict[str, set[str]] = {}
    for path, tree in product_code():
        public = {
            node.name
            for node in ast.walk(tree)
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and not node.name.startswith("_")
        }
        if names := {name for name in (*public, Path(path).stem) if words(name) & DIALECT}:
            spoken[path] = names
    assert spoken == DIALECT_THAT_STAYS


def words(name: str) -> set[str]:
    """The words of a snake_case or CamelCase name, in lower case."""
    return set(re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower().split("_"))


def test_the_glossary_defines_each_term_once_and_in_order() -> None:
    text = (ROOT / "docs" / "glossary.md").read_text()
    sections = [re.findall(r"^\| (?!Term)(?!-)([^|]+) \|", part, re.MULTILINE) for part in text.split("\n## ")[1:]]
    terms = [term.strip() for section in sections for term in section]
    assert len(terms) == len(set(terms)) > 80
    for section in sections:
        assert section == sorted(section, key=str.lower)


def test_no_docstring_begins_with_a_question_word() -> None:
    asking = re.compile(r"^(What|Whether|How|When|Why|Who|Where|Which|From when)\b")
    found = []
    for path in sorted(ROOT.glob("*/**/*.py")):
        if path.relative_to(ROOT).parts[0] not in PACKAGES:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                first = (ast.get_docstring(node) or "").partition("\n")[0]
                if asking.match(first) and "migrations" not in path.parts:
                    found.append(f"{path.relative_to(ROOT)}: {first}")

    assert found == [], "the first line says what it does or returns"


def test_no_file_of_code_is_longer_than_one_sitting() -> None:
    lengths = {path: len(path.read_text().splitlines()) for name in PACKAGES for path in (ROOT / name).rglob("*.py")}

    assert {str(path.relative_to(ROOT)): length for path, length in lengths.items() if length > MOST_LINES} == {}
