"""Use cases: one module a DAG;  composes,  speaks to a terminal."""
