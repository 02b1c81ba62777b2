"""Bars in, features out: the daily data steps."""
