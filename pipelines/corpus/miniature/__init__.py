"""The `corpus` stage: a small corpus written by the symbolic teacher, to try classification and curation on.

`puzzles` finds the puzzles of such documents, for the document judges and the symbolic rewriter.
"""
