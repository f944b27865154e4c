"""Agreement of two sets of spans, counts or labels. Pure functions."""
