"""Documents: sources, filters, near duplicates, leaks of test problems, curated examples.

Shared by `classify` and `curate`; `pretrain` reads `examples`.
"""
