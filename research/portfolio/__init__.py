"""From a ranking to a validated portfolio: selection, allocation, validation. Pure."""
