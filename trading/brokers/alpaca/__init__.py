"""Alpaca as a venue: its wire, orders, children, stream, market data and account."""
