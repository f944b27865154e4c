"""Agreement of judges with gold labels and with each other.

`measures` compares two `JudgementSource`s, `sources` reads them from files and stages, `indexed` reads them from an
index, and `ordering` compares how two judges rank conditions.
"""
