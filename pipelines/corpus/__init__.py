"""Document corpora: reading, classifying, curating, and a miniature corpus to try it on.

Entry points are the `run` functions of `classify.stage`, `curate.stage` and `miniature.stage`. Training reads curated
sets through `documents.examples`.
"""
