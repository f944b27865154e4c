"""Entry points of the training stages: a module with a `run` function per kind."""
