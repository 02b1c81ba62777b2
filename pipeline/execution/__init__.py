"""The daily trade: settle, decide, order, reconcile, report."""
