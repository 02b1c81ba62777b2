"""What the portfolio holds and is worth, read back from the records."""
