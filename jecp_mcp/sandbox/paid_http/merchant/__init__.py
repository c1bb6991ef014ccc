"""The merchant: sells the sandbox's work over HTTP by x402, well or badly."""
