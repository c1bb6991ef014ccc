"""Paying a JECP Hub."""
