"""The `curate` stage: a rich and a minimised set of equal tokens, rewriting, the data card."""
