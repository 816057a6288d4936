"""A real cluster: install on it, submit to it, look after the runs there."""
