"""Market data in: providers, normalisation, validation, quarantine."""
