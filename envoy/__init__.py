"""Envoy: its configuration, and how the demo and the tests run it."""
