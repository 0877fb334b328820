"""``scripts/faults``: what the service promises, under every fault that can be made on one machine; not installed."""
