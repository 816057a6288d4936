"""The demonstration: a task and a base model made from code, so that the whole pipeline runs with nothing to download."""
