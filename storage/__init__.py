"""PostgreSQL: engine, tables, bars, ledger, runs. The only place where SQL lives."""
