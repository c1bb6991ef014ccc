"""jecp-mcp: an MCP server that buys from JECP Hubs under a hard spending limit."""

__version__ = "0.1.0"
