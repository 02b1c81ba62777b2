"""What research tried: runs, trials, portfolios and studies."""
