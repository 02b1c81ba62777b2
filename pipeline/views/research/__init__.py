"""Research: backtest runs, their comparison, heat maps of trials, rankings; parameters of strategies."""
