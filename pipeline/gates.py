"""Whether a fresh model may challenge: the gates with the desk's limits and data. Decides nothing by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from ml.entry_filter.train import TrainResult
    from pipeline.resources import Resources

CUTS: Final = 40  # places at which the leakage check ends the bars
SHOWN: Final = 3


def objections_to(found: Resources, session: str, result: TrainResult) -> list[str]:
    """What stands against the chosen model of a training; see `ml.entry_filter.gates.objections`."""
    from ml.entry_filter.gates import Limits, objections
    from pipeline.research.backtest import check_leakage

    leaks = check_leakage(session, None, cuts=CUTS, resources=found)
    limits = Limits(found.settings.gate_least_candidates, found.settings.gate_most_calibration_error)
    return objections(result, [str(leak) for leak in leaks[:SHOWN]], limits)
