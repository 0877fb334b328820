"""What was acknowledged while the database was away, on this host's disk."""
