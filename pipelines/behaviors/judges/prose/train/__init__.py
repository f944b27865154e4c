"""Makes the model of the prose judge from labelled traces; needs torch. Run as a module: docs/prose-judge.md.

Nothing of it is imported when the judge judges. `measures` is also used by `benchmarks/prose.py`.
"""
