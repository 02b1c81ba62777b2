"""Bars to features: pure functions of the past."""
