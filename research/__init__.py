"""Research, pure: sweeps, searches, statistics, leakage checks, allocation and validation of strategies."""
