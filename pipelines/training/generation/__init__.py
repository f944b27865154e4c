"""Generation engines behind one protocol (`engine`): row-dropping loop, HF generate, vLLM.

Others import `factory.make_engine` and the types of `engine`.
"""
