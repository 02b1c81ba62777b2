"""Named places at which a test may kill the process; without the variable `FAILPOINT` they do nothing.

`FAILPOINT=name` kills at the first visit, `FAILPOINT=name:3` at the third. The process sends itself SIGKILL: no handler, no
`finally` and no rollback runs, as when the machine goes down.
"""

from __future__ import annotations

import os
import signal
from collections import Counter
from typing import Final

VARIABLE: Final = "FAILPOINT"
FAILPOINTS: Final = (
    "settle.settled",  # fills of the session written
    "candidates.saved",  # signals written
    "predict.answered",  # the API has answered, nothing written
    "predict.saved",  # predictions written
    "place.locked",  # the portfolio's lock is held
    "place.decided",  # decisions made, nothing written
    "ledger.intent_halfway",  # inside the transaction that writes an intent
    "place.written",  # intents committed, none sent
    "send.allowed",  # the pre-send check let the order pass, nothing written
    "send.claimed",  # the order is SUBMITTED, the wire still silent
    "send.answered",  # the venue has answered, nothing written
    "send.recorded",  # its answer is written
    "lookup.answered",  # an order without an answer was looked up, nothing written
    "lookup.absent",  # it never arrived: written, not sent again yet
    "place.sent",  # every order sent, refusals not written
    "place.refused",  # refusals written
    "cancel.claimed",  # a cancellation is written, not sent
    "cancel.answered",  # the venue has answered it, nothing written
    "collect.read",  # fills read from the venue, nothing written
    "ledger.fill_halfway",  # inside the transaction that writes a fill
    "ledger.event_halfway",  # inside the transaction that writes a split or another book event
    "collect.taken",  # one fill written
    "record.trades",  # trades written, the day's equity not
    "record.recorded",  # the day is on record
)
_visits: Counter[str] = Counter()


def reach(name: str) -> None:
    """Die here if the environment says so."""
    wanted = os.environ.get(VARIABLE)
    if not wanted:
        return
    _visits[name] += 1
    place, _, visit = wanted.partition(":")
    if place == name and _visits[name] == int(visit or 1):
        os.kill(os.getpid(), signal.SIGKILL)
