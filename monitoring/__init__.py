"""Alerts and mails to people; measures of drift and of skew."""
