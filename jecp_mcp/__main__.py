"""``python -m jecp_mcp``."""

from jecp_mcp.cli.main import main

main()
