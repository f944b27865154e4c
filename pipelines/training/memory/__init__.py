"""Memory of training and sampling stages, computed from their configs: `estimate` and `advice`.

Light: nothing here imports torch. `tests/training/test_memory_estimate.py` compares it with what torch allocates.
"""
