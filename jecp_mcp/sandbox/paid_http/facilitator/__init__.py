"""The facilitator: verifies payments for merchants and brings them to the chain."""
