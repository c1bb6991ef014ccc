"""Hiring agents by the Agent Job Protocol."""
