"""The service under a real systemd: ``scripts/try-systemd``."""
