"""Models: versions, calibration, A/B tests, drift, moves of the champion."""
