"""Training samples: datasets, purged splits, sample weights, resampling."""
