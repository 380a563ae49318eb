"""The cold tier: a module starts as fast as the few functions that it runs, and everything else still works."""
