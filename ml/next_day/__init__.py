"""The next-day return model and its comparison of versions."""
