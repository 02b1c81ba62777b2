"""Proof after the fact: replay, parity, explanation of an order."""
