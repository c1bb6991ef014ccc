"""Webhooks: who wants to hear of what, and telling them, signed and across restarts."""
