"""Twenty small workloads of filters: the same Python in the built module, in V8, and on a desktop's CPython."""
