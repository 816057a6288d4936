"""Benchmarks: ratios and medians from one run, never a timed test."""
