"""What a request costs Envoy's worker, with filters in Python and with hand-written ones that make the same host calls."""
