"""Adapters from the broker port to a venue."""
