"""What exists, and at what price."""
