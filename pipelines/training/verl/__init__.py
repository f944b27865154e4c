"""verl as the engine of `ppo`: PPO by `verl.trainer.main_ppo` under Ray, for models that need several machines.

verl runs in an interpreter of its own and is never imported here. `stage.run` writes its data and settings, starts it,
and takes its dumps, metrics, checkpoints and final model back as records and artifacts of this project.
"""
