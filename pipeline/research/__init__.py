"""Research on stored data: backtests, sweeps, walk-forward search, portfolios."""
