"""Decisions, sizes, limits, orders and brokers."""
