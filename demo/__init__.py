"""What ``scripts/demo`` shows: the service at work between a broker and a table that are there for the moment only."""
