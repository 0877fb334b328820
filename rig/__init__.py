"""What tests, faults, fuzz, bench and demo share: servers, relays, rogue peers, processes. Not installed."""
