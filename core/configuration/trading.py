"""Settings of what trades: costs, limits, checks before an order, the venue. One model for each component."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator

from core.configuration.addresses import Purpose, objection
from core.configuration.kinds import Group, OffAllowed
from core.configuration.risk_profiles import DESK, profile_named
from core.errors import ConfigError

LIVE_PORTS, PAPER_PORTS = frozenset({7496, 4001}), frozenset({7497, 4002})  # of TWS and of IB Gateway, as they are installed


class Costs(Group):
    """Costs of a fill, in the backtest and at the paper broker."""

    commission_bps: float = Field(1.0, ge=0, description="Commission of each fill, in basis points of its notional.")
    slippage_bps: float = Field(2.0, ge=0, description="Slippage of each market and stop fill, in basis points of its price.")


class Filters(Group):
    """Filters of the strategies that trade."""

    earnings: bool = Field(
        False,
        description="1 blocks entries within two sessions of an earnings date; `desk earnings` loads the dates.",
    )


class Risk(Group):
    """Size and limits of positions (docs/risk.md). The backtest applies the six after the profile; an empty limit is off."""

    profile: str = Field(
        DESK,
        description="Risk profile whose limits hold as well, `desk` (none) or `director`; `desk risk-profiles` shows them. "
        "With VENUE__LIVE=1: `director`, unless set.",
    )
    per_trade_pct: float = Field(
        0.25, gt=0, le=5, description="Percent of equity that a trade loses when it is stopped out at its stop price."
    )
    max_position_pct: float = Field(40.0, gt=0, le=100, description="Largest notional of one position, in percent of equity.")
    max_positions: int = Field(3, ge=1, description="Largest number of positions held or ordered at once.")
    max_exposure_pct: float = Field(
        100.0, gt=0, le=100, description="Largest gross notional of all positions and entry orders, in percent of equity."
    )
    max_drawdown_pct: float | None = Field(
        None, gt=0, le=100, description="Block entries while equity is this many percent below its highest close."
    )
    halve_drawdown_pct: float | None = Field(
        None,
        gt=0,
        le=100,
        description="Halve the size of new positions while equity is more than this many percent below its highest close.",
    )
    max_symbol_pct: float | None = Field(
        None,
        gt=0,
        le=100,
        description="Largest gross notional in one symbol, all strategies together, in percent of equity.",
    )
    max_net_pct: float | None = Field(
        None, gt=0, le=100, description="Largest net notional (longs less shorts, either way), in percent of equity."
    )
    max_entries_a_day: Annotated[int | None, OffAllowed] = Field(
        None, ge=1, description="Largest number of entries of one strategy in one session. With VENUE__LIVE=1: 3, unless `off`."
    )
    cool_down_sessions: Annotated[int | None, OffAllowed] = Field(
        None,
        ge=1,
        description="Sessions after a losing trade during which a strategy does not enter the symbol again. "
        "With VENUE__LIVE=1: 1, unless `off`.",
    )
    rest_after_loss: bool = Field(
        False,
        description="1 blocks entries in a symbol, of any strategy, at the close of a session in which one lost money in it.",
    )
    stop_required: bool = Field(False, description="1 refuses an entry without a stop.")
    max_loss_at_risk_pct: float | None = Field(
        None,
        gt=0,
        le=100,
        description="Largest loss of one position at its stop price (quantity x stop distance), in percent of equity. "
        "When set, an entry without a stop is refused.",
    )
    max_correlation: float | None = Field(
        None, ge=-1, le=1, description="Largest correlation of daily returns with a symbol that is held or ordered."
    )
    warn_correlation: float | None = Field(
        None, ge=-1, le=1, description="Correlation over which an entry is mailed and recorded, and goes on."
    )
    correlation_sessions: int = Field(60, ge=20, description="Sessions over which both correlations are measured.")
    max_volume_pct: float | None = Field(
        None, gt=0, le=100, description="Largest order, in percent of the symbol's average volume."
    )
    volume_sessions: int = Field(20, ge=1, description="Sessions over which the volume is averaged.")
    scale_low_pct: float | None = Field(
        None, gt=0, description="Size positions on at least this percent of the initial cash, whatever was lost."
    )
    scale_high_pct: float | None = Field(
        None, gt=0, description="Size positions on at most this percent of the initial cash, whatever was won."
    )

    @field_validator("profile")
    @classmethod
    def _known_profile(cls, value: str) -> str:
        try:
            profile_named(value)
        except ConfigError as error:
            raise ValueError(str(error)) from None
        return value


class Monitor(Group):
    """Limits that the risk worker and the daily trade measure, and their answer to a breach (docs/risk.md)."""

    mode: Literal["log", "enforce"] = Field(
        "log",
        description="What a breach does: `log` writes a row and sends a mail; `enforce` also halts, cancels and sells. "
        "With VENUE__LIVE=1: `enforce`, unless set.",
    )
    interval_seconds: float = Field(60.0, gt=0, description="Seconds between two checks of `desk risk-worker`.")
    drawdown_alert_pct: float = Field(
        1.0, gt=0, le=100, description="Send a mail when marked equity is this many percent below its peak."
    )
    drawdown_halt_pct: float = Field(
        2.0, gt=0, le=100, description="Report a breach when marked equity is this many percent below its peak."
    )
    var_window_sessions: int = Field(250, ge=20, description="Sessions of returns behind the value at risk.")
    var_limit_pct: float | None = Field(
        None,
        gt=0,
        le=100,
        description="Report a breach when the value at risk (95 %, one session) is over this percent of equity.",
    )

    @model_validator(mode="after")
    def _alert_first(self) -> Self:
        if self.drawdown_alert_pct > self.drawdown_halt_pct:
            raise ValueError(
                "MONITOR__DRAWDOWN_ALERT_PCT: expected at most MONITOR__DRAWDOWN_HALT_PCT."
                " An alert after the halt warns nobody."
            )
        return self


class PreSend(Group):
    """Checks that may stop an order right before it is sent."""

    halt_blocks_exits: bool = Field(
        False, description="1 makes a halted desk hold back exits as well; it always holds back entries."
    )
    heartbeat_max_age_seconds: Annotated[float | None, OffAllowed] = Field(
        None,
        gt=0,
        description="Block entries when the risk worker's last heartbeat is older than this. Empty: not checked. "
        "`make up` and docker-compose.yml start the worker and use 180 when this is empty. "
        "With VENUE__LIVE=1: 180, unless `off`.",
    )
    clock_tolerance_seconds: float = Field(
        5,
        gt=0,
        description="Block entries when the broker's clock differs from ours by more than this (Alpaca), "
        "or the risk worker's last heartbeat is further in the future.",
    )


class Guard(Group):
    """Checks of the bars and the quote of each symbol about to be entered."""

    mode: Literal["off", "on", "strict"] = Field(
        "off",
        description="`on` blocks entries in a symbol that fails a check; `strict` blocks on warnings as well. "
        "With VENUE__LIVE=1: `on`, unless set.",
    )
    jump_warn_bps: float = Field(
        300, gt=0, description="Warn of a close-to-close move over this; INGESTION__JUMP_FAIL_BPS is the failure."
    )
    spread_warn_bps: float = Field(
        20, gt=0, description="Warn of a spread over this, in basis points of the mid price (brokers with quotes: Alpaca)."
    )
    spread_fail_bps: float = Field(100, gt=0, description="Fail a symbol whose spread is over this.")
    quote_max_age_seconds: float = Field(60, gt=0, description="Age from which a quote is too old while the market is open.")

    @model_validator(mode="after")
    def _warn_first(self) -> Self:
        if self.spread_warn_bps > self.spread_fail_bps:
            raise ValueError(
                "GUARD__SPREAD_WARN_BPS: expected at most GUARD__SPREAD_FAIL_BPS. A warning after the failure warns nobody."
            )
        return self


class PositionWatch(Group):
    """The watch of stops and targets that do not rest at the venue."""

    max_price_age_seconds: float = Field(600.0, gt=0, description="An older last price only alerts and sells nothing.")
    max_price_move_pct: float = Field(
        30.0, gt=0, description="A price further from the last close only alerts: it is rather a wrong print or a split."
    )
    partial_entry_seconds: float = Field(
        60.0,
        gt=0,
        description="Seconds after which an entry that has filled in part gives up its rest, so that a stop can rest (Alpaca).",
    )


class Paper(Group):
    """The paper broker, which fills orders in the desk's own books."""

    volume_share: float | None = Field(
        None,
        gt=0,
        le=1,
        description="Share of a bar's volume that one order may take. Empty: orders fill whole, as in the backtest.",
    )
    leverage: float | None = Field(
        None,
        gt=0,
        description="Buying power as a multiple of equity, checked when an entry is sent. Empty: not checked.",
    )


class Alpaca(Group):
    """Alpaca (docs/brokers.md)."""

    api_key: SecretStr | None = Field(
        None, description="Key of Alpaca's pair of keys: a paper key without VENUE__LIVE, a live key with it."
    )
    secret_key: SecretStr | None = Field(None, description="Secret key of the pair.")
    brackets: bool = Field(
        True,
        description="1 places stops and targets at Alpaca (whole shares of equities); 0 makes the desk watch them.",
    )
    gap_pct: float = Field(
        5.0,
        ge=0,
        lt=100,
        description="Gap between last close and open, in percent, that does not trigger a resting stop or target. "
        "The fill then moves both.",
    )
    url: str | None = Field(None, description="Other address in place of Alpaca's paper account, for tests: loopback alone.")
    stream_url: str | None = Field(None, description="Other address of its trade updates, for tests: loopback alone.")
    data_url: str | None = Field(None, description="Other address of its market data, for tests: loopback alone.")
    data_feed: Literal["iex", "sip"] = Field(
        "iex", description="Source of its quotes and prices: `iex`, one exchange, or `sip`, all of them (a paid plan)."
    )


class InteractiveBrokers(Group):
    """Interactive Brokers, through TWS or IB Gateway (docs/brokers.md)."""

    host: str = Field("127.0.0.1", description="Host of TWS or IB Gateway.")
    port: int = Field(4002, description="Port: 4002 for paper and 4001 for real money at the Gateway; 7497 and 7496 at TWS.")
    client_id: int = Field(
        7, ge=1, description="Client number of the desk. Keep it: only the number that sent an order can cancel it."
    )


class Venue(Group):
    """The broker that executes."""

    kind: Literal["paper", "alpaca", "ib"] = Field(
        "paper", description="Broker: `paper` in the desk's own books, `alpaca`, or `ib` for Interactive Brokers."
    )
    live: bool = Field(
        False,
        description="1 trades real money, the second switch besides VENUE__KIND. Without it only paper accounts trade. "
        "It refuses PROVIDER=sample and files, and switches the rules on that say so.",
    )
    deadline_seconds: float = Field(
        30.0, gt=0, description="Time for which a broker that does not answer is tried again before the step fails."
    )
    timeout_seconds: float = Field(10.0, gt=0, description="Time after which one request to the broker has failed.")
    initial_cash_usd: float | None = Field(
        None, ge=0, description="Cash of the broker's account before the desk's first order. Empty: cash is not compared."
    )
    cash_tolerance_usd: float = Field(
        1.0, ge=0, description="Difference between the broker's cash and the ledger's up to which no mail is sent."
    )
    paper: Paper = Paper()
    alpaca: Alpaca = Alpaca()
    ib: InteractiveBrokers = InteractiveBrokers()

    @model_validator(mode="after")
    def _refuse_contradictions(self) -> Self:
        if self.live and self.kind == "paper":
            raise ValueError(
                "VENUE__LIVE=1 asks for real money, and VENUE__KIND=paper has none. Set VENUE__KIND as well, or neither."
            )
        if self.kind == "alpaca" and not (self.alpaca.api_key and self.alpaca.secret_key):
            raise ValueError(
                "VENUE__KIND=alpaca needs VENUE__ALPACA__API_KEY and VENUE__ALPACA__SECRET_KEY: a pair from Alpaca's dashboard."
            )
        self._refuse_addresses()
        if self.kind == "ib" and self.ib.port in (PAPER_PORTS if self.live else LIVE_PORTS):
            kind = "real money, which needs VENUE__LIVE=1 as well"
            if self.live:
                kind = "a paper account. VENUE__LIVE=1 needs 4001 (Gateway) or 7496 (TWS)"
            raise ValueError(f"VENUE__IB__PORT={self.ib.port} is the port of {kind}.")
        return self

    def _refuse_addresses(self) -> None:
        """Refuse an address of Alpaca that is not of the kind of money asked for."""
        addresses: dict[Purpose, str | None] = {
            "trading": self.alpaca.url,
            "stream": self.alpaca.stream_url,
            "data": self.alpaca.data_url,
        }
        names = {"trading": "VENUE__ALPACA__URL", "stream": "VENUE__ALPACA__STREAM_URL", "data": "VENUE__ALPACA__DATA_URL"}
        for purpose, address in addresses.items():
            refusal = None if address is None else objection(address, purpose, live=self.live)
            if refusal is not None:
                known = f"VENUE__LIVE=1 knows Alpaca's own addresses. Unset {names[purpose]}: " if self.live else ""
                raise ValueError(f"{known}{names[purpose]}: {refusal}.")
