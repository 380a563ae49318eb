"""The egress router of the demo and the tests: a backend that answers, and says who it is."""
