"""Bars, corporate actions, validation runs and earnings dates: tables and stores."""
