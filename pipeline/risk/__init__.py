"""Protection of the portfolio: kill switch, risk monitor, review of decided orders, pre-send checks, exits for risk."""
