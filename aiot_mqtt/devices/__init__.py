"""The words that every room shares about devices; pure."""
