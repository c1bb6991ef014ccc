"""A 402flow control plane that pays the sandbox's merchant with test money, under a policy of its own."""
