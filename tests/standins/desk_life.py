"""A desk that lives at Alpaca's stand-in, evening after evening: every part real but the venue, the model and the post office.

Owns the setting: PostgreSQL, the API on a socket, a mail server, the listener in a thread.
Each step of an evening has resources of its own, as a task of Airflow is a process of its own; only the pool of connections
is shared.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import threading
import time
from dataclasses import dataclass, field
from decimal import Decimal
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pandas as pd
import structlog
import uvicorn

from core.errors import RetryLater
from core.models import Leg
from core.sessions import close_of
from pipeline.bars import VIX
from pipeline.execution.order_listener import listen
from pipeline.resources import Resources
from serving.app import create_app
from tests.standins.alpaca import KEY, SECRET, AlpacaStandIn
from tests.standins.alpaca_corporate import split
from tests.standins.alpaca_floor import Floor, in_cents
from tests.standins.api_desk import Desk as ApiDesk
from tests.standins.desk_books import Books
from tests.standins.evening import EVENING, run_task
from tests.standins.evidence import vouch
from tests.standins.feed import walk
from tests.standins.mail import Inbox, free_port, mail_server, text_of
from trading.brokers.protection import uncovered

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    import sqlalchemy as sa

    from core.settings import Settings

log = structlog.get_logger()
CASH = 100_000.0
SYMBOLS = tuple(3 * letter for letter in "ABCDEFGHIJKL")
RULE = {"band_sessions": 20, "deviations": 1.0, "max_sessions": 2, "stop_pct": 0.8, "target_pct": 1.5}  # much happens
ATTEMPTS = 4  # what Airflow gives a task
STEPS = (
    "daily_trade.settle",
    "reconcile.reconcile",
    "validity.renew_validation",
    "daily_trade.candidates",
    "daily_trade.predict",
    "daily_trade.place",
    "daily_trade.confirm",
    "reconcile.reconcile again",
    "daily_trade.record",
    "daily_report.send",
    "parity_day.record_day",
)
TASKS = dict(zip(STEPS, EVENING, strict=True))  # their names in the DAG


@dataclass(frozen=True)
class Evening:
    """One evening, seen after its last step: what the steps said, what differed, what the venue had, what was mailed."""

    said: Mapping[str, Any]
    differences: tuple[str, ...]
    cash_usd: Decimal
    held: Mapping[str, Decimal]
    mails: tuple[str, ...]


@dataclass
class Life:
    """The desk and everything around it."""

    settings: Settings
    engine: sa.Engine
    alpaca: AlpacaStandIn
    floor: Floor
    inbox: Inbox
    api: ApiDesk
    evenings: dict[dt.date, Evening] = field(default_factory=dict)
    retries: int = 0
    clock_off: dt.timedelta = dt.timedelta(0)  # the desk's clock against the venue's
    listener_error: Exception | None = None

    def process(self) -> Resources:
        """The resources of a new process."""
        made = Resources(self.settings, clock=lambda: self.floor.now() + self.clock_off)
        made.__dict__["engine"] = self.engine
        made.__dict__["registry"] = SimpleNamespace(
            aliases=SimpleNamespace(champion=lambda: "1", challengers=list),  # nobody challenges
            champion_registered_at=lambda: self.floor.now(),  # noqa: PLW0108  # the clock moves on
        )
        return made

    @property
    def books(self) -> Books:
        """The ledger beside the venue."""
        return Books(self.process().ledger, self.alpaca.exchange, Decimal(str(CASH)), self.settings.venue.alpaca.brackets)

    def evening(self, day: dt.date) -> Evening:
        """The bars of the day come in, then every step of `trading_execution`, tried again as Airflow does."""
        self.floor.turn_to_evening(day)
        self.load(day)
        return self.run(day)

    def run(self, day: dt.date) -> Evening:
        """The steps for a session, at whatever hour it is."""
        mails = len(self.inbox.mails)
        said = {name: self.step(name, day) for name in STEPS}
        held = {symbol: quantity for symbol, (quantity, _) in self.alpaca.exchange.held.items()}
        self.evenings[day] = Evening(
            said,
            tuple(self.books.differences()),
            self.alpaca.exchange.cash,
            held,
            tuple(map(text_of, self.inbox.mails[mails:])),
        )
        return self.evenings[day]

    def load(self, day: dt.date) -> None:
        """What `daily_market_data` leaves behind: the session's bars, and its features in the online store."""
        rows = self.floor.bars[self.floor.bars["session"] == pd.Timestamp(day)]
        calm = rows.iloc[[0]].assign(symbol=VIX, **dict.fromkeys(["open", "high", "low", "close", "adj_close"], 20.0))
        desk = self.process()
        desk.bars.write(pd.concat([rows, calm]), source="floor", ingested_at=self.floor.now())
        vouch(desk.engine, pd.concat([rows, calm]))
        for symbol in self.settings.universe:
            self.api.features.put(symbol, pd.Timestamp(close_of(day)), 0.5)

    def split(self, symbol: str, ratio: int, day: dt.date, *, children: str) -> None:
        """Split a symbol at the venue before the open of a day; the bars on the floor are in new terms from then on."""
        split(self.alpaca.exchange, symbol, str(ratio), day, children=children)
        prices, mine = ["open", "high", "low", "close", "adj_close"], self.floor.bars["symbol"] == symbol
        self.floor.bars.loc[mine, prices] = (self.floor.bars.loc[mine, prices] / ratio).round(2)

    def record_split(self, symbol: str, ratio: int, day: dt.date) -> None:
        """The provider records a split and gives its history until the day before in new terms."""
        past = self.floor.bars[(self.floor.bars["symbol"] == symbol) & (self.floor.bars["session"] < pd.Timestamp(day))]
        desk = self.process()
        desk.bars.write(past.reset_index(drop=True), source="floor", ingested_at=self.floor.now())
        row = {"symbol": symbol, "session": pd.Timestamp(day), "kind": "split", "value": float(ratio)}
        desk.bars.write_actions(pd.DataFrame([row]), self.floor.now())

    def unprotected(self) -> dict[str, Decimal]:
        """Return by symbol the quantity that neither a stop nor an exit at the venue covers."""
        desk = self.process()
        working = desk.broker.open_orders()
        exits = [order.client_order_id for order, _ in desk.ledger.open_orders("main") if order.leg is Leg.EXIT]
        missing = {held.symbol: uncovered(held, working, exits) for held in desk.ledger.positions("main")}
        return {symbol: quantity for symbol, quantity in missing.items() if quantity}

    def step(self, name: str, day: dt.date) -> Any:
        """One step, tried again as Airflow does."""
        for _ in range(ATTEMPTS - 1):
            try:
                return run_task(TASKS[name], day, self.process())
            except RetryLater:
                self.retries += 1
        return run_task(TASKS[name], day, self.process())

    @contextlib.contextmanager
    def listening(self, poll_seconds: float = 0.1) -> Iterator[None]:
        """The listener, beside everything else."""
        stop = threading.Event()

        def run() -> None:
            try:
                listen(poll_seconds=poll_seconds, stop=stop, resources=self.process())
            except Exception as error:  # noqa: BLE001  # the test looks at it
                self.listener_error = error

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        try:
            self.alpaca.wait_for_listener()
            yield
        finally:
            stop.set()
            thread.join(timeout=15)
        assert not thread.is_alive()

    def session_unheard(self, day: dt.date) -> None:
        """A session while no listener runs."""
        self.floor.open(day)
        self.floor.trade_through(day)
        self.floor.close(day)

    def session(self, day: dt.date) -> None:
        """A session with a listener that keeps up."""
        with self.listening():
            self.floor.open(day)
            self.until(self.books.caught_up)
            self.floor.trade_through(day)
            self.floor.close(day)
            self.until(self.books.caught_up)

    def until(self, condition: Callable[[], bool], seconds: float = 30.0) -> None:
        """Wait for something to become true; a listener that ended makes it false for ever."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert self.listener_error is None, repr(self.listener_error)
            assert time.monotonic() < deadline, f"not in time; {self.books.differences()}, misplaced {self.books.misplaced()}"
            time.sleep(0.01)

    def tell(self, **more: int) -> None:
        """Log what was lived, for the table in docs/brokers.md."""
        log.info(
            "lived",
            days=len(self.evenings),
            orders=len(self.books.sent()),
            fills=len(self.alpaca.exchange.activities),
            faults=self.alpaca.faults_served,
            retries=self.retries,
            differences=sum(len(evening.differences) for evening in self.evenings.values()),
            **more,
        )


def market(last: dt.date, seed: int = 2) -> pd.DataFrame:
    """Bars of twelve symbols from October 2018 on."""
    walks = [walk(symbol, dt.date(2018, 10, 1), last, seed=seed) for symbol in SYMBOLS]
    return in_cents(pd.concat(walks, ignore_index=True))


@contextlib.contextmanager
def life(settings: Settings, bars: pd.DataFrame, first: dt.date, *, stops: bool = True, **changes: Any) -> Iterator[Life]:
    """A desk with the history before its first session in store, on the evening before it.

    Parameters
    ----------
    stops
        Whether its rule has a stop and a target.
    """
    from storage.engine import open_engine

    with AlpacaStandIn() as alpaca, mail_server() as (inbox, port):
        floor = Floor(alpaca.exchange, bars)
        values: Mapping[str, Any] = {
            "provider": "yfinance",
            "venue__kind": "alpaca",
            "venue__alpaca__api_key": KEY,
            "venue__alpaca__secret_key": SECRET,
            "venue__alpaca__url": alpaca.url,
            "venue__alpaca__stream_url": alpaca.stream_url,
            "venue__timeout_seconds": 5.0,
            "venue__deadline_seconds": 5.0,
            "venue__initial_cash_usd": CASH,
            "initial_cash_usd": CASH,
            "universe": ",".join(sorted(bars["symbol"].unique())),
            "api__url": f"http://127.0.0.1:{free_port()}",
            "mail__host": "127.0.0.1",
            "mail__port": port,
            "mail__recipients": "ops@desk.test",
            **changes,
        }
        made = settings.with_changes(**values)
        engine = open_engine(made)
        api = ApiDesk(made, engine, made.data_dir, historical=False)
        api.clock = floor.now  # type: ignore[method-assign]
        found = Life(made, engine, alpaca, floor, inbox, api)
        _load_history(found, first)
        rule = RULE if stops else RULE | {"stop_pct": None, "target_pct": None}
        found.process().parameters.set("bollinger", rule, reason="a narrow band")
        with _served(api, made.api.url):
            yield found
        engine.dispose()


def _load_history(found: Life, first: dt.date) -> None:
    """Bars before the first session, and a calm VIX beside them."""
    past = found.floor.bars[found.floor.bars["session"] < pd.Timestamp(first)]
    calm = past[past["symbol"] == past["symbol"].iloc[0]].assign(
        symbol=VIX, **dict.fromkeys(["open", "high", "low", "close", "adj_close"], 20.0)
    )
    before = past["session"].max().date()
    found.floor.trade_through(before)
    found.floor.turn_to_evening(before)
    desk = found.process()
    for frame in (past, calm):
        desk.bars.write(frame, source="floor", ingested_at=found.floor.now(), backfilled=True)


@contextlib.contextmanager
def _served(api: ApiDesk, url: str) -> Iterator[None]:
    """The prediction API on its socket."""
    server = uvicorn.Server(
        uvicorn.Config(create_app(api), port=int(url.rsplit(":", 1)[1]), log_level="error")  # type: ignore[arg-type]
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 20
    while not server.started:
        assert time.monotonic() < deadline, "the API did not start"
        time.sleep(0.02)
    yield
    server.should_exit = True
    thread.join(timeout=10)
