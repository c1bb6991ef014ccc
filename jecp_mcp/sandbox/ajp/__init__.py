"""Agents to be hired offline, by the Agent Job Protocol."""
