"""Agreement of two sets of spans, counts or labels: pure functions without I/O.

`matching` pairs spans, `scores` counts pairs, `reliability` has kappa, alpha and tau, `bootstrap` intervals.
"""
