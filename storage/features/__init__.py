"""The feature store: Feast on PostgreSQL, its rows and point-in-time reads."""
