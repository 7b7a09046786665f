"""Benchmarks: one module per question, its results in `results/`, its tables in BENCHMARKS.md."""
