"""Every setting of the desk, read once from the environment and `.env`. Never read at import time: call `get_settings()`."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from core.errors import ConfigError
from core.sessions import normalise_symbol

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

PLACEHOLDERS = {"changeme", "change-me", "password", "secret"}
MIN_KEY_LENGTH = 20
DEFAULT_UNIVERSE = ("AAPL", "AMZN", "GOOGL", "MSFT", "NVDA", "SPY", "QQQ", "IWM", "XLE", "XLF", "XLK")


def _own_folder(provider: str) -> Path:
    """A data folder for each provider: in one folder two sources would revise each other's bars."""
    return Path(".local") if provider == "sample" else Path(".local") / provider


class Settings(BaseSettings):
    """Settings with units in their names; `.env.example` documents each."""

    model_config = SettingsConfigDict(
        env_file=".env",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        populate_by_name=True,
        hide_input_in_errors=True,  # it may hold a secret
    )

    environment: Literal["local", "production"] = "local"
    database_url: SecretStr | None = None
    database_name: str = "desk"
    feast_database_name: str = "feast"
    mlflow_database_name: str = "mlflow"
    airflow_database_name: str = "airflow"

    provider: Literal["sample", "files", "yfinance"] = "sample"
    data_dir: Path = Field(default_factory=lambda known: _own_folder(known["provider"]))
    files_dir: Path | None = None
    universe: Annotated[tuple[str, ...], NoDecode] = ()
    history_start: str = "1999-01-04"
    strategies: Annotated[tuple[str, ...], NoDecode] = ("bollinger",)
    max_bad_fraction: float = Field(0.05, ge=0, le=1)
    jump_fail_bps: float = Field(1500, gt=0)

    mlflow_tracking_uri: str | None = None
    model_name: str = "entry-filter"
    seed: int = 7
    folds: int = Field(5, ge=2)
    embargo_sessions: int = Field(5, ge=0)
    train_trials: int = Field(0, ge=0)
    buy_above_pct: float = Field(1.0, gt=0)
    sell_below_pct: float = Field(-1.0, lt=0)
    next_day_model_name: str = "next-day-return"

    ab_share: float = Field(0.5, ge=0, le=1)
    ab_sessions: int = Field(5, ge=1)
    ab_most_sessions: int = Field(60, ge=1)
    ab_least_pairs: int = Field(12, ge=1)
    ab_least_blocks: int = Field(8, ge=1)
    ab_block_sessions: int = Field(3, ge=1)
    ab_approval: bool = False
    next_day_judge_sessions: int = Field(60, ge=20)
    gate_least_candidates: int = Field(200, ge=1)
    gate_most_calibration_error: float = Field(0.1, ge=0, le=1)
    promote_least_deflated_sharpe: float = Field(0.95, ge=0, le=1)
    promote_most_overfitting: float = Field(0.5, ge=0, le=1)
    drift_sessions: int = Field(60, ge=20)
    drift_psi: float = Field(0.25, gt=0)
    drift_training_gap_sessions: int | None = Field(20, ge=0)

    commission_bps: float = Field(1.0, ge=0)
    slippage_bps: float = Field(2.0, ge=0)
    earnings_gate: bool = False
    initial_cash_usd: float = Field(100_000.0, gt=0)
    risk_per_trade_pct: float = Field(0.25, gt=0, le=5)
    max_position_pct: float = Field(40.0, gt=0, le=100)
    max_positions: int = Field(3, ge=1)
    max_exposure_pct: float = Field(100.0, gt=0, le=100)
    max_drawdown_pct: float | None = Field(None, gt=0, le=100)

    halt_blocks_exits: bool = False
    risk_mode: Literal["log", "enforce"] = "log"
    drawdown_alert_pct: float = Field(1.0, gt=0, le=100)
    drawdown_halt_pct: float = Field(2.0, gt=0, le=100)
    risk_interval_seconds: float = Field(60.0, gt=0)
    heartbeat_max_age_seconds: float | None = Field(None, gt=0)
    watch_max_price_age_seconds: float = Field(600.0, gt=0)
    watch_max_price_move_pct: float = Field(30.0, gt=0)
    var_window_sessions: int = Field(250, ge=20)
    var_limit_pct: float | None = Field(None, gt=0, le=100)
    risk_max_symbol_pct: float | None = Field(None, gt=0, le=100)
    risk_max_net_pct: float | None = Field(None, gt=0, le=100)
    risk_max_entries_a_day: int | None = Field(None, ge=1)
    risk_cool_down_sessions: int | None = Field(None, ge=1)
    risk_max_correlation: float | None = Field(None, ge=-1, le=1)
    risk_correlation_sessions: int = Field(60, ge=20)
    risk_max_volume_pct: float | None = Field(None, gt=0, le=100)
    risk_volume_sessions: int = Field(20, ge=1)
    risk_scale_low_pct: float | None = Field(None, gt=0)
    risk_scale_high_pct: float | None = Field(None, gt=0)
    data_guard: Literal["off", "on", "strict"] = "off"
    jump_warn_bps: float = Field(300, gt=0)
    spread_warn_bps: float = Field(20, gt=0)
    spread_fail_bps: float = Field(100, gt=0)
    quote_max_age_seconds: float = Field(60, gt=0)
    clock_tolerance_seconds: float = Field(5, gt=0)

    optimise_min_profit_per_trade_pct: float = 1.0
    optimise_min_trades_a_month: float = Field(4.0, ge=0)
    optimise_min_profit_factor: float = Field(1.5, ge=0)

    validate_max_position_pct: float = Field(40.0, gt=0, le=100)
    validate_max_loss_at_risk_pct: float = Field(1.0, gt=0, le=100)
    validate_max_stop_pct: float | None = Field(None, gt=0, le=100)
    validate_max_exposure_pct: float = Field(100.0, gt=0, le=100)
    validate_max_drawdown_pct: float = Field(2.0, gt=0, le=100)
    validate_max_correlation: float = Field(0.7, ge=-1, le=1)
    validate_max_trades_a_day: int = Field(3, ge=1)
    validation_max_age_days: int = Field(35, ge=0)

    reconcile_cash_tolerance_usd: float = Field(1.0, ge=0)
    broker_initial_cash_usd: float | None = Field(None, ge=0)

    broker: Literal["paper", "alpaca", "ib"] = "paper"
    broker_live: bool = False
    broker_deadline_seconds: float = Field(30.0, gt=0)
    paper_volume_share: float | None = Field(None, gt=0, le=1)
    paper_leverage: float | None = Field(None, gt=0)
    broker_timeout_seconds: float = Field(10.0, gt=0)
    alpaca_api_key: SecretStr | None = None
    alpaca_secret_key: SecretStr | None = None
    alpaca_brackets: bool = True
    alpaca_gap_pct: float = Field(5.0, ge=0, lt=100)
    alpaca_url: str | None = None
    alpaca_stream_url: str | None = None
    alpaca_data_url: str | None = None
    alpaca_data_feed: Literal["iex", "sip"] = "iex"
    ib_host: str = "127.0.0.1"
    ib_port: int = 4002
    ib_client_id: int = Field(7, ge=1)
    portfolio: str = "main"

    api_port: int = 8000
    api_url: str = "http://127.0.0.1:8000"
    max_feature_age_sessions: int = Field(3, ge=0)
    champion_poll_seconds: float = Field(2.0, gt=0, le=10)
    prediction_queue_rows: int = Field(50_000, ge=1)
    api_read_keys: Annotated[tuple[SecretStr, ...], NoDecode] = ()
    api_control_keys: Annotated[tuple[SecretStr, ...], NoDecode] = ()
    api_reads_per_second: float | None = Field(None, gt=0)
    api_controls_per_minute: float = Field(60, gt=0)
    airflow_port: int = 8080
    mlflow_port: int = 5000

    smtp_host: str | None = None
    smtp_port: int = 25
    smtp_user: str | None = None
    smtp_password: SecretStr | None = None
    smtp_starttls: bool = False
    alert_from: str = "desk@localhost"
    alert_to: Annotated[tuple[str, ...], NoDecode] = ()

    log_level: str = "INFO"

    @field_validator("universe", "strategies", "alert_to", "api_read_keys", "api_control_keys", mode="before")
    @classmethod
    def _split_commas(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("strategies")
    @classmethod
    def _at_least_one(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value:
            raise ValueError("STRATEGIES: expected one or more names, found none. `desk strategies` lists them.")
        return value

    @field_validator("universe")
    @classmethod
    def _normalise(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(normalise_symbol(symbol) for symbol in value)

    @field_validator("api_read_keys", "api_control_keys")
    @classmethod
    def _long_enough(cls, value: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        if any(len(key.get_secret_value()) < MIN_KEY_LENGTH for key in value):
            raise ValueError(
                f"An API key needs {MIN_KEY_LENGTH} characters: python -c 'import secrets; print(secrets.token_hex())'"
            )
        return value

    @model_validator(mode="after")
    def _refuse_contradictions(self) -> Self:
        if self.provider == "files" and self.files_dir is None:
            raise ValueError("PROVIDER=files needs FILES_DIR: the folder that holds the CSV or Parquet files.")
        if self.drawdown_alert_pct > self.drawdown_halt_pct:
            raise ValueError("DRAWDOWN_ALERT_PCT: expected at most DRAWDOWN_HALT_PCT. An alert after the halt warns nobody.")
        if self.broker_live and self.broker == "paper":
            raise ValueError("BROKER_LIVE=1 asks for real money, and BROKER=paper has none. Set BROKER as well, or neither.")
        if self.broker == "alpaca" and not (self.alpaca_api_key and self.alpaca_secret_key):
            raise ValueError("BROKER=alpaca needs ALPACA_API_KEY and ALPACA_SECRET_KEY: a pair from Alpaca's dashboard.")
        if self.spread_warn_bps > self.spread_fail_bps:
            raise ValueError("SPREAD_WARN_BPS: expected at most SPREAD_FAIL_BPS. What fails need not be warned of.")
        if self.broker_live and (self.alpaca_url or self.alpaca_stream_url or self.alpaca_data_url):
            raise ValueError(
                "BROKER_LIVE=1 knows Alpaca's own addresses. Unset ALPACA_URL, ALPACA_STREAM_URL, ALPACA_DATA_URL."
            )
        if self.environment != "local":
            for name in ("database_url", "smtp_password"):
                secret: SecretStr | None = getattr(self, name)
                if secret and any(word in secret.get_secret_value().lower() for word in PLACEHOLDERS):
                    raise ValueError(f"{name.upper()} still holds a placeholder; set a real secret outside ENVIRONMENT=local.")
        return self


@lru_cache(maxsize=1)
def get_settings() -> Settings:
    """Read the settings on first use and keep them for the life of the process.

    Raises
    ------
    core.errors.ConfigError
        When one is wrong; it names the setting and shows no value.
    """
    try:
        return Settings()
    except ValidationError as error:
        raise ConfigError("; ".join(_complaint(each) for each in error.errors(include_input=False))) from None


def _complaint(found: ErrorDetails) -> str:
    """What is wrong with a setting, under its name in the environment."""
    words, name = found["msg"].removeprefix("Value error, "), str(next(iter(found["loc"]), "")).upper()
    return f"{name}: {words}" if name else words
