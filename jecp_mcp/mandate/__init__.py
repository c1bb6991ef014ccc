"""May it be spent? The policy, the caps and the durable ledger."""
