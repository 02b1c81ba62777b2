"""Positions, cash and value of a portfolio, read back from its records."""
