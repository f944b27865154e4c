"""The Countdown task: generator, solver, expression parser, exact reward and prompts. Light: no torch, no numpy."""
