"""Alerts with a life, and what happened to each: tables and their store."""
