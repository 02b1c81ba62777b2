"""The life of models: training, comparison, A/B tests, promotion, drift."""
