"""Labels, splits, training, evaluation, registry."""
