"""Our PPO trainer with a critic: networks, batches, losses, the update, FSDP2, sharded checkpoints.

The `ppo` stage assembles them; only `pipelines.training.stages.ppo` imports from here.
"""
