"""The report of a research chain: Markdown for people, with CSV tables and a heat map."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from research.portfolio.selection import RANKED, heat_map
from research.report_tables import figure_text

if TYPE_CHECKING:
    import pandas as pd

    from pipeline.research.holdout import Research

ROWS = 20


def write_chain_report(outcome: Research) -> None:
    """Write `research.md`, `scorecard.json`, the tables as CSV, `correlation.csv` and `correlation.html`."""
    folder = outcome.report
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "research.md").write_text(to_markdown(outcome), encoding="utf-8")
    outcome.shortlist.table.drop(columns="params").to_csv(folder / "ranked.csv", index=False)
    outcome.evidence.to_csv(folder / "evidence.csv", index=False)
    outcome.held_out.to_csv(folder / "held_out.csv", index=False)
    outcome.shortlist.correlation.to_csv(folder / "correlation.csv")
    (folder / "scorecard.json").write_text(json.dumps(outcome.scorecard.as_dict(), indent=2), encoding="utf-8")
    heat_map(outcome.shortlist.correlation).write_html(folder / "correlation.html", include_plotlyjs=True)


def to_markdown(outcome: Research) -> str:
    """Return the whole chain on one page."""
    plan, shared = outcome.plan, outcome.allocation
    money = [f"- {name}: {usd:,.2f} USD" for name, usd in shared.usd.items()]
    return "\n\n".join(
        (
            f"# Research up to {plan.session}",
            f"Chosen on the sessions up to {plan.split}; figures are net of costs.",
            f"{len(plan.strategies)} strategies on {len(plan.symbols)} symbols: {', '.join(plan.symbols)}.",
            "\n".join(f"- {line}" for line in outcome.statements),
            f"## Ranked\n\n{table(outcome.shortlist.table[list(RANKED)].head(ROWS))}",
            f"## What luck explains\n\n{table(outcome.evidence)}",
            f"## Picked\n\n{outcome.shortlist.pick.message}\n\n{table(outcome.shortlist.pick.dropped)}",
            f"## Portfolio {outcome.portfolio_id} ({shared.method})\n\n" + "\n".join(money) + f"\n\n{shared.message}",
            f"## After {plan.split}\n\n{table(outcome.held_out)}",
            f"## Scorecard after {plan.split}\n\n{outcome.scorecard.summary}\n\n{table(outcome.scorecard.table())}",
            f"## Validation\n\n```\n{outcome.validation.to_text()}\n```",
        )
    )


def table(frame: pd.DataFrame) -> str:
    """Return a frame as a Markdown table; an undefined figure is a dash."""
    head = f"| {' | '.join(map(str, frame.columns))} |\n|{'---|' * len(frame.columns)}"
    rows = [
        "| " + " | ".join(_cell(str(name), value) for name, value in row.items()) + " |" for row in frame.to_dict("records")
    ]
    return "\n".join([head, *rows])


def _cell(name: str, value: Any) -> str:  # noqa: ANN401  # what a table may hold
    return figure_text(name, value).replace("|", "\\|")
