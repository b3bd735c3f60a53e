"""Where a pure defence meets files, models and the ledger: one function for each command."""
