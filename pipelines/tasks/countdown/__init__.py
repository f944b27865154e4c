"""The Countdown task: generator, solver, expression parser, exact reward and prompts. Imports no torch, no numpy.

From outside: `task` and `problems`; `reward`, `rules` and `solver` for teachers and benchmarks.
"""
