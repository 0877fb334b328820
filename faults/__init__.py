"""Programs that do to the service what must not harm it: real faults, at length, with figures; not installed."""
