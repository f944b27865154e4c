"""GRPO by TRL's GRPOTrainer, as `algorithm = "grpo"` of the `ppo` stage; its entry is `algorithm.run`."""
