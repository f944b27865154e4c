"""Behaviours: sets of them, judges, span alignment, gold files and agreement metrics (docs/judges.md).

From outside: `sets.registered` for names and sets, `judges.registry` for judges, `judge` for the protocol, `metrics`.
"""
