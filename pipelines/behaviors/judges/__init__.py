"""Judges: each returns, per behaviour, a count and spans for a completion.

From outside: `registry` for a judge by name, `stage` for the `judge` stage, `rules.judge` for rules without a registry.
"""
