"""Models: champion and challengers, versions with age and links into MLflow, A/B tests, calibration, drift, promotions."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import streamlit as st

from monitoring.dashboard import chart, figures, table
from monitoring.dashboard.chart import Band, Line, Pane
from monitoring.dashboard.parts import model_tables as tables
from monitoring.dashboard.reading import api, environment, reading

if TYPE_CHECKING:
    from collections.abc import Mapping

    from monitoring.dashboard.reading import Reader

KINDS = {"entry": "Versions of the entry filter", "next_day": "Versions of the next-day model"}
FILES = {"ab-tests": "A/B tests", "drift": "Drift", "promotions": "Promotions"}
NO_DRIFT = "No drift was measured yet: an evening does so."
PAGE = 50  # rows of A/B tests and of promotions on the page


def draw(_: str | None) -> None:
    """Draw the page, and again whenever the interval of refreshes has passed; models belong to no single book."""
    st.title("Models")
    st.fragment(_refreshed, run_every=environment().refresh_seconds)()
    with st.container(horizontal=True):
        for name, label in FILES.items():
            table.download(f"{label} as CSV", f"{name}.csv", partial(api().export, f"/models/{name}"), key=f"models-{name}")


def _refreshed() -> None:
    with reading() as reader:
        serving, versions, tests, calibration, rest = (st.container() for _ in range(5))
        with serving:
            _draw_serving(reader)
        with tests:
            _draw_tests(reader)
        with rest:
            drift = reader.all_rows("/models/drift")
            table.draw(tables.DRIFT, alerts_first(drift), caption="Drift against the training", empty=NO_DRIFT)
            moves = reader.rows("/models/promotions", limit=PAGE)
            table.draw(tables.PROMOTIONS, moves, caption="Promotions", empty="No champion was promoted yet.", most=PAGE)
        with calibration:  # from here on MLflow is read, which may take long
            _draw_calibration(reader.content("/models/calibration"))
        with versions:
            for kind, caption in KINDS.items():
                found = reader.content("/models/versions", kind=kind, limit=20)
                rows = None if found is None else found["versions"]
                table.draw(tables.VERSIONS[kind], rows, caption=caption, empty="No version is registered.")


def _draw_serving(reader: Reader) -> None:
    found = reader.content("/models")
    rows = None if found is None else sorted(found["models"], key=lambda row: (row["kind"], row["arm"] != "champion"))
    table.draw(tables.SERVING, rows, caption="Champion and challengers that answer", empty="No model answers: `desk train`.")
    for line in () if found is None else found["trouble"]:
        st.html(f'<p class="desk-notice">▲ {figures.escaped(line)}</p>')


def _draw_tests(reader: Reader) -> None:
    rows = reader.rows("/models/ab-tests", limit=PAGE)
    for row in rows or []:
        if row["state"] == "running":
            blocking = "".join(f"<li>{figures.escaped(each)}</li>" for each in row["blocking"])
            st.html(
                f'<p class="desk-notice"><strong>▲ {figures.escaped(row["name"])} runs. Against a decision:</strong></p>'
                f"<ul>{blocking}</ul>"
            )
    table.draw(
        tables.AB_TESTS,
        None if rows is None else tables.comparisons(rows),
        caption="A/B tests, each challenger against the champion, newest first",
        empty="No A/B test was begun yet: the first challenger begins one.",
    )


def alerts_first(rows: list[dict[str, Any]] | None) -> list[dict[str, Any]] | None:
    """Return drift with what raised an alert at the top, else in the order of the API."""
    return None if rows is None else sorted(rows, key=lambda row: not row["alert"])


def _draw_calibration(found: Mapping[str, Any] | None) -> None:
    if found is None:
        table.draw((), None, caption="Calibration", empty="")
        return
    version = found["version"]
    about = f"version {version} of {found['model']}" if version else found["model"]
    st.subheader("Calibration")
    st.html(
        f'<p class="desk-notice">{figures.escaped(about)}: of the entries with a predicted probability of x %, so many % won. '
        "Points on the dashed line are right; the band is of 95 %, and missing below 20 predictions.</p>"
    )
    parts = (("settled", "Answers about entries that are closed"), ("training", "Predictions of the training, out of sample"))
    for place, (name, title) in zip(st.columns(2), parts, strict=True):
        with place:
            _draw_reliability(name, title, found[name])


def _draw_reliability(name: str, title: str, curve: Mapping[str, Any]) -> None:
    if not curve["bins"]:
        table.draw((), [], caption=title, empty=curve["reason"])
        return
    bins = curve["bins"]
    predicted = [100 * each["predicted"] for each in bins]
    low, high = ([_percent(each[end]) for each in bins] for end in ("realised_low", "realised_high"))
    parts: list[Line | Band] = [
        Line("as predicted", predicted, "grey", dash=(6, 4)),
        Band("95 %", low, high, "blue"),
        Line("won", [100 * each["realised"] for each in bins], "blue", kind="points"),
    ]
    chart.draw(
        f"models-calibration-{name}", predicted, [Pane(title, "%", parts, decimals=1)], x_label="Predicted probability, %"
    )
    table.cards(
        [
            ("Predictions", figures.number(curve["n"]), "with a known outcome"),
            ("Won", f"{figures.number(_percent(curve['base_rate']), 1)} %", "of all"),
            ("Calibration error", f"{figures.number(_percent(curve['calibration_error']), 1)} points", "mean distance"),
            ("Brier score", figures.number(curve["brier"], 3), "0 is best"),
        ]
    )


def _percent(value: float | None) -> float | None:
    return None if value is None else 100 * value
