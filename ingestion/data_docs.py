"""Build the Data Docs site from stored validation results.

The site is built aside and then swapped in, under a file lock: readers and parallel builders never see half a site.
"""

from __future__ import annotations

import fcntl
import glob
import html
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import great_expectations as gx
from great_expectations.core.expectation_validation_result import ExpectationSuiteValidationResultSchema
from great_expectations.core.run_identifier import RunIdentifier
from great_expectations.data_context.types.resource_identifiers import ExpectationSuiteIdentifier, ValidationResultIdentifier

if TYPE_CHECKING:
    from collections.abc import Sequence

    from great_expectations.data_context import EphemeralDataContext

_SITE = "desk"


def build_data_docs(results: Sequence[dict[str, Any]], directory: Path) -> Path:
    """Build the site of these validations and return its `index.html`.

    Parameters
    ----------
    results
        `Validation.results` of any number of batches, as validated or as read back from `market.validation_runs`.
    directory
        Folder of the site; what is there is replaced.
    """
    directory.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(prefix=f".{directory.name}-", dir=directory.parent))
    try:
        _build(results, aside / "new")
        with (directory.parent / f".{directory.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if directory.exists():
                directory.rename(aside / "old")
            (aside / "new").rename(directory)
    finally:
        shutil.rmtree(aside)
    return directory / "index.html"


def _build(results: Sequence[dict[str, Any]], site: Path) -> None:
    context = gx.get_context(mode="ephemeral")
    context.enable_analytics(enable=False)
    config: Any = {
        "class_name": "SiteBuilder",
        "show_how_to_buttons": False,
        "store_backend": {"class_name": "TupleFilesystemStoreBackend", "base_directory": str(site)},
        "site_index_builder": {"class_name": "DefaultSiteIndexBuilder"},
    }
    context.add_data_docs_site(site_name=_SITE, site_config=config)
    for number, result in enumerate(results):
        for suite in result["suites"]:
            _add(context, result, suite, number)
    context.build_data_docs(site_names=[_SITE])
    index = site / "index.html"
    index.write_text(index.read_text().replace("</body>", f"{_overview(results, site)}</body>"))


def _overview(results: Sequence[dict[str, Any]], site: Path) -> str:
    """Table of the batches with links to their pages: the site's own needs scripts from the internet, this one none."""
    rows = []
    for number, result in enumerate(results):
        pages = sorted(site.glob(f"validations/*/*/*/{glob.escape(_batch(result, number))}.html"))
        links = ", ".join(f'<a href="{quote(str(page.relative_to(site)))}">{page.parts[-4]}</a>' for page in pages)
        refused = f"{result['bad_rows']} of {result['rows']} rows refused"
        reasons = ", ".join(f"{count} {reason}" for reason, count in result["reasons"].items())
        cells = (result["session"], ", ".join(result["symbols"]), refused, reasons or "-")
        rows.append("<tr>" + "".join(f"<td>{html.escape(str(cell))}</td>" for cell in cells) + f"<td>{links}</td></tr>")
    head = "".join(f"<th>{name}</th>" for name in ("Session", "Symbols", "Refused", "Reasons", "Pages"))
    return f'<table cellpadding="6"><caption>Batches</caption><tr>{head}</tr>{"".join(rows)}</table>'


def _batch(result: dict[str, Any], number: int) -> str:
    """Name of a batch's pages."""
    symbols = result["symbols"]
    return f"{symbols[0] if len(symbols) == 1 else f'{len(symbols)}-symbols'}-{number}"


def _add(context: EphemeralDataContext, result: dict[str, Any], suite: dict[str, Any], number: int) -> None:
    key = ValidationResultIdentifier(
        expectation_suite_identifier=ExpectationSuiteIdentifier(name=suite["suite_name"]),
        run_id=RunIdentifier(run_name=result["session"], run_time=suite["meta"]["batch_markers"]["ge_load_time"]),
        batch_identifier=_batch(result, number),
    )
    context.validation_results_store.set(key, ExpectationSuiteValidationResultSchema().load(suite))
