"""Views of the record: each is rows for people, the same by route, by verb and in the dashboard. Changes nothing."""
