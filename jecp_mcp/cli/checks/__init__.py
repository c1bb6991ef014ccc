"""What ``jecp-mcp doctor`` looks at, a module for each subject; each gives findings and changes nothing."""
