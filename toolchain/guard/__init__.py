"""The guard against deep recursion in C: where the graph of calls needs one, and how it is built in."""
