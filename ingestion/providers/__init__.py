"""Sources of bars: one adapter per source, all behind the `Provider` protocol."""
