"""Where bars come from: one adapter a source, all behind the `Provider` protocol."""
