"""Shared by all training stages: configs (light), device set-up, checkpoints, metrics, models.

`trl_compat` and `transformers_compat` are the only modules that use TRL and private parts of transformers.
"""
