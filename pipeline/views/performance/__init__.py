"""Live performance beside what the backtest promised."""
