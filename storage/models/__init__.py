"""The life of models: A/B tests, promotions, drift."""
