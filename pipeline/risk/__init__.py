"""What protects the portfolio: kill switch, monitor, guards, exits."""
