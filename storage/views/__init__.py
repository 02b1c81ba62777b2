"""Reads for the views: figures of books over sessions, bars and heartbeats as points. Nothing is written."""
