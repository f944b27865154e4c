"""Figures against the budgets of docs/performance.md. Each file runs alone: `python -m benchmarks.NAME`."""
