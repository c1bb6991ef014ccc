"""How each MCP host is configured."""
