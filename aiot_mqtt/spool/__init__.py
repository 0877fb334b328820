"""What is acknowledged while the database is away: on this host's disk."""
