"""The settings of verl's trainer, composed from a `ppo` config as Hydra overrides. Keys are those of verl 0.9."""

import re
from pathlib import Path
from typing import Any, Final, NamedTuple

from pipelines.errors import InvalidInput
from pipelines.training.core.configs import OptimizerConfig, PPOConfig
from pipelines.training.core.engine_configs import SamplingConfig

RAY_CPUS: Final = 64
"""Least logical CPUs of a node that Ray is told of. verl reserves one for each of its some twenty helpers, and some for
each GPU; with too few it waits for ever without a message. They cost nothing."""
TOKENS_PER_PASS: Final = 16384
"""Token budget of a forward pass and GPU where the config names no `micro_batch`."""
_NO_CLIP: Final = 1e9
"""Stands for a value loss that is not clipped."""


class VerlPaths(NamedTuple):
    """The files and folders of one attempt."""

    model: Path
    """The initial policy."""
    train: Path
    test: Path
    reward: Path
    """The file of the reward function."""
    problems: Path
    """Folder of the `problems` stage, for the reward function."""
    attempt: Path
    """Where this attempt's dumps, metrics, checkpoints and reports of errors go."""

    @property
    def metrics(self) -> Path:
        """Metrics, a line a step."""
        return self.attempt / "metrics.jsonl"

    @property
    def rollouts(self) -> Path:
        """Dumps of training rollouts, a file a step."""
        return self.attempt / "rollouts"

    @property
    def evaluations(self) -> Path:
        """Dumps of evaluations, a file a step."""
        return self.attempt / "evaluations"

    @property
    def checkpoints(self) -> Path:
        """verl's own checkpoints."""
        return self.attempt / "checkpoints"


class VerlMachines(NamedTuple):
    """Where verl runs."""

    nodes: int
    gpus: int
    """On each node."""
    cpus: int
    """Logical CPUs of each node, at least `RAY_CPUS`."""


def require_supported(config: PPOConfig) -> None:
    """Check that verl can train as the config says.

    Raises:
        InvalidInput: names each field that verl has no equivalent for.
    """
    evaluation = config.evaluation.sampling
    wrong = {
        f"algorithm {config.algorithm}": config.algorithm != "ppo",
        "whiten = false: verl always normalises the advantages of GAE": not config.whiten,
        f"reward {config.reward}": config.reward != "exact",
        f"critic_warmup_epochs {config.critic_warmup_epochs}: verl has no passes of the critic alone": (
            config.critic_warmup_steps > 0 and config.critic_warmup_epochs != config.epochs
        ),
        f"mini_batch {config.mini_batch}: verl counts prompts; it must be a multiple of rollouts {config.rollouts}": (
            config.mini_batch % config.rollouts != 0
        ),
        f"mini_batch {config.mini_batch}: {config.prompts * config.rollouts} rollouts a step are no multiple of it": (
            (config.prompts * config.rollouts) % config.mini_batch != 0
        ),
        "evaluation.sampling.max_new_tokens: verl has one length for training and evaluation": (
            evaluation is not None and evaluation.max_new_tokens != config.sampling.max_new_tokens
        ),
    }
    found = [text for text, is_wrong in wrong.items() if is_wrong]
    if found:
        raise InvalidInput(
            "engine verl cannot train with this config", detail="\n".join(found), remedy="Use another engine."
        )


def verl_overrides(
    config: PPOConfig,
    paths: VerlPaths,
    machines: VerlMachines,
    *,
    checkpoint_every: int,
    chat_template: str,
    resume_from: Path | None,
) -> list[str]:
    """Return the Hydra overrides of `verl.trainer.main_ppo`, the config's own last.

    Args:
        config: of the stage; checked by `require_supported`.
        paths: of this attempt.
        machines: nodes and GPUs.
        checkpoint_every: steps between checkpoints.
        chat_template: Jinja template that turns a row's one message into the prompt.
        resume_from: a folder `global_step_N` of verl; None starts from the initial policy.
    """
    values = (
        _algorithm(config)
        | _data(config, paths)
        | _actor(config, paths, chat_template)
        | _critic(config, paths, chat_template)
        | _rollout(config)
        | _reward(paths)
        | _trainer(config, paths, machines, checkpoint_every)
    )
    if resume_from is None:
        values["trainer.resume_mode"] = "disable"
    else:
        values |= {"trainer.resume_mode": "resume_path", "trainer.resume_from_path": str(resume_from)}
    return [f"{name}={hydra_value(value)}" for name, value in values.items()] + list(config.engine.verl.overrides)


def _algorithm(config: PPOConfig) -> dict[str, Any]:
    return {
        "algorithm.adv_estimator": "gae",
        "algorithm.gamma": config.gamma,
        "algorithm.lam": config.lam,
        "algorithm.use_kl_in_reward": config.kl > 0,
        "algorithm.kl_penalty": "kl",
        "algorithm.kl_ctrl.type": "fixed",
        "algorithm.kl_ctrl.kl_coef": config.kl,
    }


def _data(config: PPOConfig, paths: VerlPaths) -> dict[str, Any]:
    return {
        "data.train_files": str(paths.train),
        "data.val_files": str(paths.test),
        "data.train_batch_size": config.prompts,
        "data.max_prompt_length": config.max_prompt_tokens,
        "data.max_response_length": config.sampling.max_new_tokens,
        "data.shuffle": False,  # the file has the order of the steps
        "data.seed": config.seed,
        "data.truncation": "error",
    }


def _actor(config: PPOConfig, paths: VerlPaths, chat_template: str) -> dict[str, Any]:
    actor = "actor_rollout_ref.actor"
    return {
        "actor_rollout_ref.model.path": str(paths.model),
        "actor_rollout_ref.model.custom_chat_template": chat_template,
        "actor_rollout_ref.model.enable_gradient_checkpointing": config.recompute,
        **_optimizer(f"{actor}.optim", config.actor),
        f"{actor}.grad_clip": config.max_grad_norm,
        f"{actor}.ppo_mini_batch_size": mini_batch_prompts(config),
        f"{actor}.ppo_epochs": config.epochs,
        f"{actor}.shuffle": True,
        f"{actor}.data_loader_seed": config.seed,
        f"{actor}.clip_ratio": config.clip,
        f"{actor}.clip_ratio_low": config.clip,
        f"{actor}.clip_ratio_high": config.clip,
        f"{actor}.entropy_coeff": config.entropy,
        f"{actor}.calculate_entropy": True,
        f"{actor}.use_kl_loss": False,
        f"{actor}.loss_agg_mode": "token-mean",
        **_passes(config, actor, "ppo_micro_batch_size_per_gpu", "ppo_max_token_len_per_gpu"),
        **({} if not config.kl else _log_probs(config, "actor_rollout_ref.ref")),
    }


def _critic(config: PPOConfig, paths: VerlPaths, chat_template: str) -> dict[str, Any]:
    return {
        "critic.enable": True,
        "critic.model.path": str(paths.model),
        "critic.model.custom_chat_template": chat_template,
        "critic.model.enable_gradient_checkpointing": config.recompute,
        **_optimizer("critic.optim", config.critic),
        "critic.grad_clip": config.max_grad_norm,
        "critic.ppo_mini_batch_size": mini_batch_prompts(config),
        "critic.ppo_epochs": config.epochs,
        "critic.shuffle": True,
        "critic.data_loader_seed": config.seed,
        "critic.cliprange_value": config.value_clip or _NO_CLIP,
        **_passes(config, "critic", "ppo_micro_batch_size_per_gpu", "ppo_max_token_len_per_gpu"),
    }


def _rollout(config: PPOConfig) -> dict[str, Any]:
    rollout, verl = "actor_rollout_ref.rollout", config.engine.verl
    evaluation = config.evaluation.sampling or config.sampling
    return {
        f"{rollout}.name": verl.rollout,
        f"{rollout}.n": config.rollouts,
        f"{rollout}.seed": config.seed,
        f"{rollout}.tensor_model_parallel_size": verl.tensor_parallel,
        f"{rollout}.gpu_memory_utilization": verl.gpu_memory,
        **_sampling(rollout, config.sampling),
        **_sampling(f"{rollout}.val_kwargs", evaluation),
        f"{rollout}.val_kwargs.n": config.evaluation.samples,
        f"{rollout}.val_kwargs.do_sample": evaluation.temperature > 0,
        **_log_probs(config, rollout),
    }


def _reward(paths: VerlPaths) -> dict[str, Any]:
    # Not `custom_reward_function` at the top level: that is accepted and ignored.
    function = "reward.custom_reward_function"
    return {
        f"{function}.path": str(paths.reward),
        f"{function}.name": "compute_score",
        f"+{function}.reward_kwargs.problems": str(paths.problems),
        f"+{function}.reward_kwargs.errors": str(paths.attempt),
        "reward.reward_manager.name": "naive",
    }


def _trainer(config: PPOConfig, paths: VerlPaths, machines: VerlMachines, checkpoint_every: int) -> dict[str, Any]:
    evaluates = config.evaluation.every > 0
    values = {
        "trainer.nnodes": machines.nodes,
        "trainer.n_gpus_per_node": machines.gpus,
        "trainer.total_epochs": 1,
        "trainer.total_training_steps": config.steps,
        "trainer.critic_warmup": config.critic_warmup_steps,
        "trainer.val_before_train": evaluates,
        "trainer.test_freq": config.evaluation.every if evaluates else -1,
        "trainer.save_freq": checkpoint_every,
        "trainer.max_actor_ckpt_to_keep": 1,  # the stage keeps links to those it wants
        "trainer.max_critic_ckpt_to_keep": 1,
        "trainer.default_local_dir": str(paths.checkpoints),
        "trainer.rollout_data_dir": str(paths.rollouts),
        "trainer.validation_data_dir": str(paths.evaluations),
        "trainer.logger": ["console", "file"],
        "trainer.project_name": "cogtui",
        "trainer.experiment_name": paths.attempt.parent.name,
        "+ray_kwargs.ray_init.runtime_env.env_vars.VERL_FILE_LOGGER_PATH": str(paths.metrics),
    }
    if machines.nodes == 1:  # on several nodes the cluster is there already, and verl must not size it
        values["ray_kwargs.ray_init.num_cpus"] = machines.cpus
    return values


def mini_batch_prompts(config: PPOConfig) -> int:
    """Return the mini-batch in prompts: verl multiplies those of actor and critic by the rollouts of a prompt."""
    return config.mini_batch // config.rollouts


def _optimizer(name: str, config: OptimizerConfig) -> dict[str, Any]:
    return {
        f"{name}.lr": config.learning_rate,
        f"{name}.lr_warmup_steps": config.warmup_steps,
        f"{name}.betas": list(config.betas),
        f"{name}.weight_decay": config.weight_decay,
        f"+{name}.override_optimizer_config": {"eps": config.eps},
    }


def _sampling(name: str, sampling: SamplingConfig) -> dict[str, Any]:
    return {
        f"{name}.temperature": sampling.temperature,
        f"{name}.top_p": sampling.top_p,
        f"{name}.top_k": sampling.top_k or -1,
    }


def _passes(config: PPOConfig, name: str, rows: str, tokens: str) -> dict[str, Any]:
    """Return the size of a forward pass: rows a GPU, or a token budget."""
    if config.micro_batch:
        return {f"{name}.use_dynamic_bsz": False, f"{name}.{rows}": config.micro_batch}
    longest = config.max_prompt_tokens + config.sampling.max_new_tokens
    return {f"{name}.use_dynamic_bsz": True, f"{name}.{tokens}": max(TOKENS_PER_PASS, longest)}


def _log_probs(config: PPOConfig, name: str) -> dict[str, Any]:
    if config.micro_batch:
        return {f"{name}.log_prob_micro_batch_size_per_gpu": config.micro_batch}
    longest = config.max_prompt_tokens + config.sampling.max_new_tokens
    return {
        f"{name}.log_prob_use_dynamic_bsz": True,
        f"{name}.log_prob_max_token_len_per_gpu": max(TOKENS_PER_PASS, longest),
    }


def hydra_value(value: Any) -> str:
    """Return a value as Hydra's override grammar reads it back."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, list | tuple):
        return f"[{','.join(map(hydra_value, value))}]"
    if isinstance(value, dict):
        return f"{{{','.join(f'{name}:{hydra_value(each)}' for name, each in value.items())}}}"
    # OmegaConf fills in ${name}, Hydra ends a text at a quote; in front of either a backslash is written twice.
    text = re.sub(r"(\\*)\$\{", r"\1\1\\${", str(value))
    return "'" + re.sub(r"(\\*)('|$)", _escape_quote, text) + "'"


def _escape_quote(match: re.Match[str]) -> str:
    backslashes, quote = match.groups()
    return backslashes * 2 + ("\\'" if quote else "")
