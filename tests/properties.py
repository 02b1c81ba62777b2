"""How far property tests search: the Hypothesis profiles `ci` and `deep`, chosen by HYPOTHESIS_PROFILE.

`ci` tries the same examples each time, so that a change that is red was made so by the change. `deep` tries ten times as many,
other ones each time, and keeps those that fail in `.hypothesis`.
"""

from __future__ import annotations

import os
from typing import Final

from hypothesis import HealthCheck, settings

VARIABLE: Final = "HYPOTHESIS_PROFILE"
CI, DEEP = "ci", "deep"
PROFILE: Final = os.environ.get(VARIABLE) or CI
TIMES_DEEPER: Final = 10
HYPOTHESIS_EXAMPLES: Final = 100  # of a test that states no number


def examples(number: int) -> int:
    """Return the number of examples of a property test: `number` under `ci`, ten times as many under `deep`."""
    return number * TIMES_DEEPER if PROFILE == DEEP else number


def load_profile() -> None:
    """Register both profiles and load the one chosen; a name that neither has is an error."""
    searched = settings(deadline=None, print_blob=True, max_examples=examples(HYPOTHESIS_EXAMPLES))
    settings.register_profile(CI, searched, derandomize=True, database=None)
    settings.register_profile(DEEP, searched, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile(PROFILE)
