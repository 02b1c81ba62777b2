"""Entry and exit rules, one module each."""
