"""The ledger in one SQLite file: load, ask the rules, store."""
