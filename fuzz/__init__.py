"""Bytes that nobody well-behaved sends, by the million, and what must hold of the service then. Not installed."""
