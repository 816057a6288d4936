"""Finds what is wrong with a workflow before anything runs: what Argo's own lint finds, and what it lets pass and bites at run time."""
