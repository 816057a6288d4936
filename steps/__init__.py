"""The steps of the pipelines: one module a verb, and the rooms that several of them share."""
