"""The demo: the filter routes real connections in a real Envoy on loopback."""
