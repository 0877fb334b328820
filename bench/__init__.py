"""``scripts/bench``: how fast the service is, beside what bounds it and beside others that do the same. Not installed."""
