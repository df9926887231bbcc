"""EtcdStorage as the API serves it: spec, conditions, durations. Pure functions, no requests."""
