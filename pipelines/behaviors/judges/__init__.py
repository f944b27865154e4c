"""Judges: each returns, per behaviour, a count and spans for a completion."""
