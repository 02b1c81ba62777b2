"""Stores of research: runs, trials, shortlists, portfolios and studies."""
