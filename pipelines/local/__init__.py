"""Interprets compiled Argo Workflows YAML on this machine, as Argo 4.1.2 would on a cluster."""
