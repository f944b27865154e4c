"""The `curate` stage: a rich and a minimised set of equal tokens.

`selection` applies the rules, `pool` matches and chooses, the rewriters rewrite, `card` documents the result. Nothing
is imported from outside but `stage`.
"""
