"""One paid call, from the purchase to its proven end."""
