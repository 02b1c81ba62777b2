"""The venue in a terminal: listening to it. Parses and prints; the steps live in their modules."""

from __future__ import annotations

from typing import Annotated

import typer

verbs = typer.Typer()


@verbs.command()
def listen(
    poll_seconds: Annotated[
        float, typer.Option(min=1, help="Pause between two times of asking for what the stream may have lost.")
    ] = 60.0,
) -> None:
    """Bring what the broker does with the desk's orders into the ledger as it happens; runs until it is ended."""
    from pipeline import listen as step

    step.listen(poll_seconds=poll_seconds)
