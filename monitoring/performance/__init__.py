"""Watch the live performance of a book against what its backtest promised: frames in, findings out."""
