"""What PPO and GRPO share: rounds, sharding, health."""
