"""What tells people: alerts."""
