"""Estimators: models, calibration, tuning, thresholds, their stored form."""
