"""What a Python program imports to buy at a JECP Hub by itself, without the MCP server."""
