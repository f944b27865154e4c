"""Training: base models, priming, continued pretraining, PPO and GRPO, sampling.

`stages` holds a `run` function per stage kind, `core.configs` their configs. Import configs from anywhere (they are
light), and everything else only from other training packages: it needs torch.
"""
