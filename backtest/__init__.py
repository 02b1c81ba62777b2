"""Fill rules over history: kernel, equity, metrics."""
