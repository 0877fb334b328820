"""A second instance that waits on another host, and takes over when the first one is gone."""
