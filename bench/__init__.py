"""``scripts/bench``: how fast the service is, beside what bounds it and others that do the same. Not installed."""
