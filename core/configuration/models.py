"""Settings of data, models and research: one model for each component."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from core.configuration.kinds import Group


class Ingestion(Group):
    """Loading and validating bars."""

    files_dir: Path | None = Field(None, description="Folder of CSV or Parquet files. PROVIDER=files needs it.")
    history_start: str = Field("1999-01-04", description="First date (YYYY-MM-DD) of a historical load.")
    max_bad_fraction: float = Field(
        0.05, ge=0, le=1, description="Largest fraction of bad bars among the new ones with which a batch is still loaded."
    )
    jump_fail_bps: float = Field(
        1500, gt=0, description="Close-to-close move, in basis points, over which a bar is examined as a possible error."
    )


class Tracking(Group):
    """MLflow: experiments and the model registry."""

    uri: str | None = Field(
        None, description="Address of an MLflow server or database. Empty: DATABASE__MLFLOW_NAME on the desk's own server."
    )


class Training(Group):
    """Training of the entry filter (docs/training.md)."""

    model_name: str = Field("entry-filter", description="Registered name of the entry filter, and name of its experiment.")
    folds: int = Field(5, ge=2, description="Test blocks of the walk-forward.")
    embargo_sessions: int = Field(5, ge=0, description="Sessions between the last training label and the first test decision.")
    trials: int = Field(0, ge=0, description="Sets of hyperparameters tried inside each training window; 0 keeps the defaults.")


class NextDay(Group):
    """The next-day model (docs/training.md)."""

    model_name: str = Field("next-day-return", description="Registered name of the model, and name of its experiment.")
    buy_above_pct: float = Field(1.0, gt=0, description="Predicted return, in percent, above which the model says BUY.")
    sell_below_pct: float = Field(-1.0, lt=0, description="Predicted return, in percent, below which it says SELL.")
    judge_sessions: int = Field(
        60, ge=20, description="New sessions on which a challenger is compared with the champion, once."
    )


class AbTest(Group):
    """A/B tests between champion and challengers (docs/ab-testing.md)."""

    share: float = Field(0.5, ge=0, le=1, description="Share of the candidates that challengers decide.")
    sessions: int = Field(5, ge=1, description="Sessions after which a test is decided.")
    most_sessions: int = Field(60, ge=1, description="Sessions up to which a test with too few samples is extended.")
    least_pairs: int = Field(12, ge=1, description="Settled candidates on which the models must have disagreed.")
    least_blocks: int = Field(8, ge=1, description="Blocks of sessions that must hold such a candidate.")
    block_sessions: int = Field(3, ge=1, description="Sessions that are resampled together.")
    approval: bool = Field(False, description="1 asks a person to approve each promotion, in Airflow or by mail.")


class Gates(Group):
    """Quality gates that a trained model must pass to challenge."""

    least_candidates: int = Field(200, ge=1, description="Smallest number of out-of-sample candidates.")
    most_calibration_error: float = Field(0.1, ge=0, le=1, description="Largest calibration error.")


class Promotion(Group):
    """Conditions that the filtered strategy must meet before a promotion."""

    least_deflated_sharpe: float = Field(
        0.95, ge=0, le=1, description="Smallest deflated Sharpe ratio (a probability); 0 checks nothing."
    )
    most_overfitting: float = Field(
        0.5, ge=0, le=1, description="Largest probability of backtest overfitting; 1 checks nothing."
    )


class Drift(Group):
    """Drift of features, scores and outcomes away from the training."""

    sessions: int = Field(60, ge=20, description="Newest sessions that are compared with the training.")
    psi: float = Field(0.25, gt=0, description="Population stability index from which drift is reported.")
    training_gap_sessions: int | None = Field(20, ge=0, description="Age of the last training from which drift starts another.")


class Performance(Group):
    """Watch of live performance (docs/performance.md)."""

    model_max_age_days: int = Field(30, ge=1, description="Age of the champion, in days, over which an alert is raised.")
    window_days: int = Field(30, ge=1, description="Calendar days whose closed trades make the win rate.")
    min_win_rate_pct: float = Field(48.0, ge=0, le=100, description="Win rate, in percent, below which an alert is raised.")
    min_trades: int = Field(20, ge=1, description="Closed trades from which the win rate is judged.")
    max_drawdown_pct: float = Field(
        15.0, gt=0, le=100, description="Drawdown of the closes, in percent, over which an alert is raised."
    )
    min_live_ratio: float = Field(
        0.8,
        gt=0,
        le=1,
        description="Share of the backtest's profit a trade and Sharpe ratio below which live alerts, once it is beyond luck.",
    )
    false_alarms_pct: float = Field(
        5.0,
        gt=0,
        lt=50,
        description="Largest probability, in percent, that a year of daily looks alarms while a book keeps what its backtest "
        "promised; the trade frequency has as much again.",
    )
    max_correlation: float = Field(
        0.7,
        ge=-1,
        le=1,
        description="Correlation of two positions over which an alert is raised, over RISK__CORRELATION_SESSIONS.",
    )
    interval_seconds: float = Field(900.0, gt=0, description="Seconds between two looks of the risk worker.")


class Optimise(Group):
    """`desk optimise`: thresholds that a parameter set must reach in training to be chosen."""

    min_profit_per_trade_pct: float = Field(1.0, description="Smallest mean net return of a trade, in percent.")
    min_trades_a_month: float = Field(4.0, ge=0, description="Smallest number of trades a month of the whole portfolio.")
    min_profit_factor: float = Field(1.5, ge=0, description="Smallest ratio of dollars won to dollars lost.")


class Validation(Group):
    """Limits of a portfolio that research chose (docs/portfolio.md), in percent of its capital."""

    max_position_pct: float = Field(40.0, gt=0, le=100, description="Largest position.")
    max_loss_at_risk_pct: float = Field(
        1.0, gt=0, le=100, description="Largest loss of one position that is stopped out as planned."
    )
    max_stop_pct: float | None = Field(
        None, gt=0, le=100, description="Largest distance of a stop, in percent of the price. Empty: not checked."
    )
    max_exposure_pct: float = Field(100.0, gt=0, le=100, description="Largest exposure of all sleeves together.")
    max_drawdown_pct: float = Field(2.0, gt=0, le=100, description="Largest drawdown.")
    max_correlation: float = Field(0.7, ge=-1, le=1, description="Largest correlation of the returns of two sleeves.")
    max_trades_a_day: int = Field(3, ge=1, description="Largest number of entries on one day.")
    max_age_days: int = Field(35, ge=0, description="Days for which a validation lets the portfolio trade.")
