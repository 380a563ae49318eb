"""Slow proofs: commands that are too slow for CI, and the record of their last runs."""
