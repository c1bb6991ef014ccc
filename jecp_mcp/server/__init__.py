"""The MCP face: the only room that speaks MCP."""
