"""MLflow: runs, registry, aliases, lineage, notes and plots."""
