"""Ten years of what the pages of performance, models and research read, written by SQL: parity days, trials, runs, drift."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa

from core.deployments import Deployment, Sleeve, Stage, State
from monitoring.performance.expectation import Expectation
from monitoring.performance.sequential import Promise
from storage.trading.deployments import Deployments

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Sequence

SLEEVES = ("trio/bollinger", "trio/rsi", "trio/zscore")
PARITY = """
INSERT INTO trading.parity_days (portfolio, strategy, session, signal_differences, fill_differences, cost_differences,
  missed_differences, signal_usd, fill_usd, cost_usd, missed_usd, record_usd, backtest_usd, details)
SELECT 'trio', 's', d, 0, 1, 1, 0, 0, -1.5 * sin(i), -0.5, CASE WHEN i % 50 = 0 THEN 20 ELSE 0 END, 10, 12,
       jsonb_build_array(jsonb_build_object('cause', 'fill', 'symbol', 'SYM1', 'detail', 'entry at another price'))
FROM unnest(CAST(:days AS date[])) WITH ORDINALITY AS t(d, i)
"""
ANSWERS = """
INSERT INTO trading.predictions (strategy, symbol, session, model_version, model_name, probability, predicted_return, signal)
SELECT strategy, symbol, decision_session, '1', 'entry-filter', 0.4 + 0.3 * random(), 0, 'enter' FROM trading.trades
WHERE portfolio = 'main' ON CONFLICT DO NOTHING
"""
TRIALS = """
INSERT INTO research.trials (key, strategy, symbol, params, kind, first_session, last_session, metrics)
SELECT md5(i::text), 'rsi', 'AAPL,MSFT', jsonb_build_object('oversold', 10 + i % 25, 'stop_pct', 0.5 + (i / 25) % 20 * 0.25,
         'recovered', 50 + random() * 20, 'vix_gate', false), CASE WHEN i % 5 = 0 THEN 'sweep' ELSE 'optimise' END,
       '2014-01-02', '2023-12-29',
       jsonb_build_object('sharpe', random() - 0.3, 'profit_per_trade', random() / 100, 'trade_count', 20 + i % 200,
         'win_rate', 0.5, 'max_drawdown', -0.1, 'avg_hold_days', 2.0, 'total_return', random())
FROM generate_series(1, :many) AS i
"""
RUNS = """
INSERT INTO research.backtest_runs (run_id, kind, created_at, meta, metrics)
SELECT to_char(timestamp '2014-01-02 22:00' + i * interval '1 day', 'YYYYMMDD"T"HH24MISS') || '-' || substr(md5(i::text), 1, 8),
       CASE i % 2 WHEN 0 THEN 'filtered' ELSE 'unfiltered' END, timestamp '2014-01-02 22:00' + i * interval '1 day',
       jsonb_build_object('strategy', 'bollinger_vix', 'symbols', to_jsonb(ARRAY['AAPL','AMZN','GOOGL','MSFT','NVDA','SPY']),
         'first_session', '2014-01-02', 'last_session', '2023-12-29', 'initial_cash_usd', 100000,
         'evidence', jsonb_build_object('deflated_sharpe', 0.7, 'trials', 100)),
       jsonb_build_object('sharpe', random(), 'total_return', random(), 'max_drawdown', -random(), 'trade_count', 1000,
         'win_rate', 0.55, 'profit_per_trade', 0.004, 'cost_usd', 1000, 'annual_return', 0.1, 'profit_factor', NULL)
FROM generate_series(1, 1000) AS i
"""
CURVES = """
INSERT INTO research.backtest_equity (run_id, session, equity_usd, drawdown)
SELECT r.run_id, d, 100000 + 10 * i + 1000 * sin(i / 30.0 + length(r.run_id)), -0.05 * abs(sin(i / 50.0))
FROM (SELECT run_id FROM research.backtest_runs ORDER BY run_id DESC LIMIT 6) AS r
CROSS JOIN unnest(CAST(:days AS date[])) WITH ORDINALITY AS t(d, i)
"""
RUN_TRADES = """
INSERT INTO research.backtest_trades (run_id, symbol, strategy, side, decision_session, entry_session, exit_session,
  entry_price, exit_price, quantity, gross_return, net_return, pnl_usd, cost_usd, holding_sessions, reason)
SELECT r.run_id, 'S' || n, 'bollinger', 1, d, d, d, 100, 101, 10, 0.01, 0.009, 9, 1, 1, 'target'
FROM (SELECT run_id FROM research.backtest_runs ORDER BY run_id DESC LIMIT 6) AS r
CROSS JOIN unnest(CAST(:days AS date[])) AS t(d) CROSS JOIN generate_series(1, 2) AS n
"""
DRIFT = """
INSERT INTO ml.drift (session, family, name, psi, statistic, p_value, reference_mean, recent_mean, reference_count,
  recent_count, alert, detail)
SELECT d, CASE WHEN n < 36 THEN 'feature' ELSE 'score' END, 'name_' || n, random(), random(), random(), 0, 0, 20000, 440,
       random() < 0.02, '' FROM unnest(CAST(:days AS date[])) AS t(d) CROSS JOIN generate_series(1, 40) AS n
"""
LIFE = """
INSERT INTO ml.experiments (name, model_name, champion, challengers, terms, first_session, created_at)
SELECT 'test ' || i, 'entry-filter', i::text, ARRAY[(i + 1)::text], '{"share": 0.5, "sessions": 5}', '2014-01-02',
       timestamp '2014-01-02' + i * interval '30 days' FROM generate_series(1, 120) AS i;
INSERT INTO ml.ab_assignments (experiment, strategy, symbol, session, arm, scores)
SELECT 'test ' || i, 'rsi', 'S' || n, date '2014-01-02' + n, CASE n % 2 WHEN 0 THEN i ELSE i + 1 END::text, '{}'
FROM generate_series(1, 120) AS i CROSS JOIN generate_series(1, 200) AS n;
INSERT INTO ml.ab_decisions (experiment, session, kind, challenger, reason, report)
SELECT 'test ' || i, date '2014-01-02' + n, CASE n WHEN 20 THEN 'keep' ELSE 'extend' END, NULL, 'Too few samples',
       '{"sessions": 20, "spa": null, "void": 0, "late": 0, "blocked": [], "comparisons": [{"challenger": "2",
         "candidates": 200, "pairs": 20, "blocks": 9, "p_value": 0.2, "assigned": null,
         "paired": {"value": 0.001, "low": -0.001, "high": 0.003}}]}'
FROM generate_series(1, 120) AS i CROSS JOIN generate_series(1, 20) AS n;
INSERT INTO ml.promotions (model_name, kind, from_version, to_version, reason, author)
SELECT 'entry-filter', 'promote', i::text, (i + 1)::text, 'better', 'ann' FROM generate_series(1, 200) AS i;
INSERT INTO trading.strategy_params (strategy, symbol, version, params, enabled, author, reason)
SELECT 'bollinger', NULL, i, jsonb_build_object('stop_pct', i, 'deviations', 2), true, 'ann', 'why'
FROM generate_series(1, 500) AS i
"""


def write_years_of_research(engine: sa.Engine, days: Sequence[dt.date], *, trials: int = 100_000) -> None:
    """Write them over the sessions of a record that `write_long_record` wrote, with a deployment `trio` of three sleeves."""
    profit, sharpe = Promise(0.004, 0.03, 4000, 120), Promise(0.05, 1.0, 2520, 120)
    promised = Expectation("", 2520, 4000, profit, 0.55, 0.0003, 0.008, sharpe, None, None, 0).as_dict()
    sleeves = tuple(Sleeve(name, "bollinger", ("SYM1",), 50_000.0) for name in SLEEVES)
    promise = dict.fromkeys(("", *SLEEVES), promised)
    Deployments(engine).add(
        Deployment("trio", 1, Stage.PAPER, State.ACTIVE, sleeves, 150_000.0, "desk", None, promise, "ann", "why")
    )
    with engine.begin() as connection:
        for statement in (PARITY, ANSWERS, TRIALS, RUNS, CURVES, RUN_TRADES, DRIFT):
            connection.execute(sa.text(statement), {"days": list(days), "many": trials})
        for statement in LIFE.split(";"):
            connection.execute(sa.text(statement))
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(sa.text("ANALYZE"))
