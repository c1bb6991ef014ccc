"""The ledger in PostgreSQL, for replicas that share one budget behind a load balancer."""
