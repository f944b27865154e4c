"""Configs of the training stages: `base`, `prime`, `ppo`, `sample`. Light: nothing here imports torch.

Defaults of `prime` and `ppo` are the settings of the published runs (3B models, eight GPUs); recipes for small models
override them.
"""

from typing import Any, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from pipelines.stages import AS_WRITTEN, UNLESS_DEFAULT, StageConfig
from pipelines.teachers.conditions import ConditionName
from pipelines.training.core.config_fields import (
    OUTSIDE_KEY,
    ConfigTable,
    Fraction,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
)
from pipelines.training.core.engine_configs import EngineConfig, SamplingConfig
from pipelines.training.shipped import SHIPPED_NAMES, shipped_model


class TrainingConfig(StageConfig):
    """Fields of every training stage."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    seed: int = 0
    """Seeds every random choice of the stage."""
    threads: PositiveInt = 1
    """CPU threads of torch. On few cores, one thread per process and one process per condition is fastest."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Device to compute on; `auto` is a GPU if there is one, else the CPU."""
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    """Number type of the forward and backward passes (autocast); weights and optimizer states are always float32.
    `auto` is bfloat16 on a GPU and float32 on a CPU, where bfloat16 is slow."""
    checkpoint_every: NonNegativeInt = Field(default=0, json_schema_extra=OUTSIDE_KEY)
    """Steps between checkpoints; 0 lets the stage choose. A stop signal always saves a checkpoint."""


class TokenizerConfig(ConfigTable):
    """A word-level tokenizer with a closed vocabulary; fixed phrases of the teacher are single tokens."""

    style: str = "plain"
    """Teacher style whose phrases become tokens."""
    max_number: PositiveInt | None = None
    """Largest whole number with a token of its own; by default the bound of the problems' arithmetic."""


class ArchitectureConfig(ConfigTable):
    """Shape of a model made from scratch."""

    family: Literal["llama", "qwen2"] = "llama"
    """Architecture, by its name in transformers. AutoTokenizer loads Qwen's tokenizer instead of ours for a `qwen2`."""
    hidden_size: PositiveInt = 64
    """Width of the residual stream."""
    layers: PositiveInt = 3
    """Number of transformer blocks."""
    heads: PositiveInt = 2
    """Attention heads; hidden_size must be a multiple of them."""
    kv_heads: PositiveInt | None = None
    """Key and value heads; by default as many as attention heads."""
    intermediate_size: PositiveInt = 192
    """Width of the feed-forward layers."""
    max_positions: PositiveInt = 256
    """Longest sequence in tokens. Positions beyond the pretraining length stay untrained."""
    initializer_range: PositiveFloat | None = None
    """Standard deviation of the initial weights; by default 1/√hidden_size. Small models learn much sooner with it than
    with 0.02, the usual value for large models."""
    tie_embeddings: bool = True
    """Whether input and output embeddings share one matrix."""

    @model_validator(mode="after")
    def _heads_divide(self) -> Self:
        if self.hidden_size % self.heads or (self.hidden_size // self.heads) % 2:
            raise ValueError(f"hidden_size {self.hidden_size} does not divide into {self.heads} heads of even width")
        if self.kv_heads is not None and self.heads % self.kv_heads:
            raise ValueError(f"heads {self.heads} is not a multiple of kv_heads {self.kv_heads}")
        return self


class PretrainingConfig(ConfigTable):
    """Pretraining on base text: every step mixes three kinds, each with its own loss."""

    steps: PositiveInt = 1950
    """Optimizer steps."""
    linear: NonNegativeInt = 40
    """Linear solutions per optimizer step."""
    documents: NonNegativeInt = 5
    """Documents per optimizer step: equations with true verdicts about a goal, packed."""
    worksheets: NonNegativeInt = 5
    """Worksheets per optimizer step: many ways to combine the same numbers, packed."""
    weights: tuple[NonNegativeFloat, NonNegativeFloat, NonNegativeFloat] = (0.4, 0.3, 0.3)
    """Loss weights of linear solutions, documents and worksheets."""
    linear_correct: Fraction = 0.3
    """Fraction of the linear solutions that reach the target."""
    habits: Fraction = Field(default=0, json_schema_extra=UNLESS_DEFAULT)
    """Share of the linear solutions replaced by short search traces of `habit_condition`, so that the base shows
    behaviours before any priming."""
    habit_condition: ConditionName = Field(default="backtracking_verification", json_schema_extra=UNLESS_DEFAULT)
    """Priming condition of those search traces."""
    text_tokens: PositiveInt = 140
    """Length of a document or worksheet, in tokens."""
    learning_rate: PositiveFloat = 3e-3
    """Peak learning rate of AdamW."""
    betas: tuple[Fraction, Fraction] = (0.9, 0.98)
    """Decay rates of AdamW's moments."""
    weight_decay: NonNegativeFloat = 0.01
    """Decoupled weight decay."""
    max_grad_norm: PositiveFloat = 1.0
    """Gradients are clipped to this norm."""
    warmup: Fraction = 0.02
    """Fraction of the steps during which the learning rate rises linearly from zero."""
    constant: Fraction = 0.3
    """Fraction of the steps until the cosine decay to zero begins; the learning rate is at its peak before."""


class BaseConfig(TrainingConfig):
    """`base`: build and pretrain a small model, or copy an existing one."""

    pretrained: str | None = None
    """A shipped model (`cogtui models`), a folder or a hub id; then nothing is trained."""
    revision: str | None = None
    """Revision of the hub model."""
    pad_token: str | None = None
    """Padding token for an existing tokenizer without one; must be in its vocabulary."""
    tokenizer: TokenizerConfig = TokenizerConfig()
    """Tokenizer of a model built here."""
    architecture: ArchitectureConfig = ArchitectureConfig()
    """Shape of a model built here."""
    pretraining: PretrainingConfig | None = PretrainingConfig()
    """Pretraining of a model built here; none leaves the initial weights."""

    def key_fields(self) -> dict[str, Any]:
        """Return the fields that decide what the stage computes; a shipped model counts by its content."""
        fields = super().key_fields()
        if self.pretrained in SHIPPED_NAMES:
            fields["pretrained"] = f"{self.pretrained}@{shipped_model(self.pretrained).digest}"
        return fields


class SupervisedConfig(TrainingConfig):
    """Fields of stages that train on texts with TRL's SFTTrainer."""

    epochs: PositiveInt = 5
    """Passes over the data."""
    batch_size: PositiveInt = 64
    """Texts (or packed blocks) per optimizer step."""
    micro_batch: PositiveInt | None = Field(default=None, json_schema_extra=AS_WRITTEN)
    """Texts per forward pass; by default the whole batch. Changes memory only."""
    learning_rate: PositiveFloat = 1e-5
    """Peak learning rate of AdamW."""
    schedule: Literal["constant", "linear", "cosine"] = "cosine"
    """Learning-rate schedule after the warm-up."""
    warmup: Fraction = 0.05
    """Fraction of the steps during which the learning rate rises linearly from zero."""
    weight_decay: NonNegativeFloat = 0.0
    """Decoupled weight decay."""
    betas: tuple[Fraction, Fraction] = Field(default=(0.9, 0.999), json_schema_extra=UNLESS_DEFAULT)
    """Decay rates of AdamW's moments."""
    max_grad_norm: PositiveFloat = 1.0
    """Gradients are clipped to this norm."""
    save_dtype: Literal["float32", "bfloat16"] = Field(default="float32", json_schema_extra=UNLESS_DEFAULT)
    """Number type of the final model on disk; `bfloat16` takes half the room and rounds the weights, which are trained
    in float32."""


class PrimeConfig(SupervisedConfig):
    """`prime`: supervised fine-tuning on priming traces with TRL, with the loss on completions only."""

    max_tokens: PositiveInt = 1280
    """Most tokens of prompt and completion together; a longer trace is an error, never truncated."""


class PretrainConfig(SupervisedConfig):
    """`pretrain`: continued pretraining on a curated set with TRL."""

    condition: Literal["owm_rich", "owm_minimised"]
    """Which of the two curated sets to train on."""
    epochs: PositiveInt = 1
    """Passes over the set."""
    loss: Literal["full", "completion"] = "full"
    """Tokens in the loss: all, or with `completion` only those after the question of a rewritten document."""
    packing: bool = True
    """Whether to concatenate texts and cut them into blocks of `max_tokens`; otherwise each text is a row."""
    max_tokens: PositiveInt = 2048
    """Tokens of a block. Without packing, most tokens of a text; a longer text is an error, never truncated."""


class OptimizerConfig(ConfigTable):
    """AdamW with a linear warm-up, then a constant learning rate."""

    learning_rate: PositiveFloat = 1e-6
    """Learning rate after the warm-up."""
    warmup_steps: NonNegativeInt = 0
    """Optimizer steps during which the learning rate rises linearly from zero."""
    betas: tuple[Fraction, Fraction] = (0.9, 0.999)
    """Decay rates of AdamW's moments."""
    eps: PositiveFloat = 1e-8
    """Added to the denominator."""
    weight_decay: NonNegativeFloat = 0.01
    """Decoupled weight decay."""
    mini_batch: PositiveInt | None = Field(default=None, json_schema_extra=UNLESS_DEFAULT)
    """Rollouts per optimizer step of this network; by default the stage's `mini_batch`."""


class ImportanceSamplingConfig(ConfigTable):
    """Correction of the loss for an engine that samples from another distribution than the trainer computes."""

    level: Literal["auto", "none", "token", "sequence"] = "auto"
    """Truncated importance sampling (Yao et al. 2025, https://fengyao.notion.site/off-policy-rl): the loss of a token
    is multiplied by the ratio of its probabilities, the trainer's over the engine's, or with `sequence` by the product
    of these over the completion. `auto` is `token` for engine vllm and `none` for the others, which run the trainer's
    own model. `none` computes what the published runs computed."""
    cap: PositiveFloat = 2.0
    """Largest weight."""


class EvaluationConfig(ConfigTable):
    """Evaluation on the test problems during training."""

    every: NonNegativeInt = 10
    """Steps between evaluations; there is one before the first and one after the last step too. 0 turns them off."""
    problems: PositiveInt | None = None
    """Number of test problems, from the first; by default all."""
    samples: PositiveInt = 1
    """Completions per problem."""
    sampling: SamplingConfig | None = None
    """Sampling of their completions; by default as in training."""


class PPOConfig(TrainingConfig):
    """`ppo`: reinforcement learning with the exact reward, or with one that knows nothing of the answer."""

    algorithm: Literal["ppo", "grpo"] = "ppo"
    """`ppo` is our trainer, with a critic. `grpo` is TRL's, without: it ignores critic, gamma, lam and value_clip."""
    reward: Literal["exact", "random", "format"] = Field(default="exact", json_schema_extra=UNLESS_DEFAULT)
    """Reward of training rollouts. `random`: 1 with probability `random_reward`, else 0, whatever the completion.
    `format`: 1 for any answer, else 0. Evaluations always use the exact reward."""
    random_reward: Fraction = Field(default=0.5, json_schema_extra=UNLESS_DEFAULT)
    """Probability of a reward of 1, for `random`."""
    steps: PositiveInt = 250
    """Steps, each of which samples rollouts and updates on them."""
    prompts: PositiveInt = 256
    """Problems per step."""
    rollouts: PositiveInt = 4
    """Completions per problem in a step."""
    sampling: SamplingConfig = SamplingConfig()
    """Sampling of the rollouts."""
    max_prompt_tokens: PositiveInt = 256
    """Most tokens of a prompt; a longer one is an error."""
    engine: EngineConfig = EngineConfig()
    """Engine that generates the rollouts."""
    actor: OptimizerConfig = OptimizerConfig()
    """Optimizer of the policy."""
    critic: OptimizerConfig = OptimizerConfig(learning_rate=1e-5)
    """Optimizer of the critic, whose backbone starts from the policy's weights."""
    critic_warmup_steps: NonNegativeInt = 0
    """Number of first steps in which only the critic is updated."""
    critic_warmup_epochs: PositiveInt = 1
    """Passes over each batch of rollouts during the critic's warm-up."""
    epochs: PositiveInt = 1
    """Passes over each batch of rollouts."""
    mini_batch: PositiveInt = 128
    """Rollouts per optimizer step of the networks that set no `mini_batch` of their own."""
    micro_batch: PositiveInt | None = Field(default=None, json_schema_extra=AS_WRITTEN)
    """Rollouts per forward pass, grouped by length; by default a token budget (`ppo`) or the mini-batch
    (`grpo`). Changes memory and speed only."""
    gamma: Fraction = 1.0
    """Discount per token."""
    lam: Fraction = 1.0
    """Lambda of generalised advantage estimation."""
    clip: PositiveFloat = 0.2
    """The probability ratio of the surrogate loss is clipped to 1 ± this."""
    value_clip: NonNegativeFloat = 0.5
    """Values are clipped to the old values ± this in the value loss; 0 turns clipping off."""
    kl: NonNegativeFloat = 0.001
    """Coefficient of the KL to the initial policy (k1 per token), which is subtracted from the reward."""
    entropy: NonNegativeFloat = 0.001
    """Coefficient of the entropy bonus."""
    max_grad_norm: PositiveFloat = 1.0
    """Gradients of each network are clipped to this norm."""
    whiten: bool = True
    """Whether to normalise advantages to zero mean and unit variance over the valid tokens of a batch."""
    importance_sampling: ImportanceSamplingConfig = Field(
        default=ImportanceSamplingConfig(), json_schema_extra=UNLESS_DEFAULT
    )
    """Correction for the mismatch of the engine and the trainer."""
    evaluation: EvaluationConfig = EvaluationConfig()
    """Periodic evaluation on the test problems."""
    behaviors: bool = True
    """Whether the metrics include the rules judge's counts of behaviours in the rollouts."""
    sharding: Literal["none", "fsdp"] = "none"
    """`fsdp` shards policy, critic, reference and optimizers over the `processes` of the stage's resources."""
    recompute: bool = Field(default=False, json_schema_extra=OUTSIDE_KEY)
    """Recompute activations in the backward pass: a third slower, far less memory, the same result."""
    keep_checkpoints: PositiveInt = Field(default=2, json_schema_extra=OUTSIDE_KEY)
    """Number of newest checkpoints that stay on disk."""
    save_dtype: Literal["float32", "bfloat16"] = Field(default="float32", json_schema_extra=UNLESS_DEFAULT)
    """Number type of the final model on disk; `bfloat16` takes half the room and rounds the weights, which are trained
    in float32. Engine `verl` always writes bfloat16."""

    def mini_batch_of(self, network: Literal["actor", "critic"]) -> int:
        """Return the rollouts per optimizer step of a network."""
        return (self.actor if network == "actor" else self.critic).mini_batch or self.mini_batch

    def importance_level(self) -> Literal["none", "token", "sequence"]:
        """Return whose probabilities weight the loss, with `auto` resolved."""
        level = self.importance_sampling.level
        if level == "auto":
            return "token" if self.engine.name == "vllm" else "none"
        return level

    @model_validator(mode="after")
    def _sampler_returns_log_probs(self) -> Self:
        if self.importance_level() != "none" and self.engine.name != "vllm":
            raise ValueError(
                f"importance_sampling.level is {self.importance_sampling.level}, which needs the log-probabilities "
                f"that engine vllm returns; engine.name is {self.engine.name}"
            )
        return self

    def longest_sequence(self) -> int:
        """Return the most tokens of a prompt and its completion, in training or evaluation."""
        asked = [self.sampling, *filter(None, [self.evaluation.sampling])]
        return self.max_prompt_tokens + max(each.max_new_tokens for each in asked)

    @model_validator(mode="after")
    def _can_learn(self) -> Self:
        if self.sampling.temperature == 0:
            raise ValueError(
                "sampling.temperature is 0: all rollouts of a problem would be equal, and nothing could be learnt"
            )
        return self

    @model_validator(mode="after")
    def _batches_divide(self) -> Self:
        # TRL would silently train with other batches.
        if self.algorithm != "grpo":
            return self
        if self.sharding != "none":
            raise ValueError("sharding works with algorithm ppo only: set it to none for grpo")
        if self.rollouts < 2:
            raise ValueError("algorithm grpo compares the completions of a problem: rollouts must be at least 2")
        batch = self.prompts * self.rollouts
        mini = self.mini_batch_of("actor")
        micro = self.micro_batch or mini
        if batch % mini or mini % micro:
            raise ValueError(
                f"algorithm grpo needs batches that divide: {batch} rollouts a step, mini_batch {mini}, "
                f"micro_batch {micro}"
            )
        return self


class SampleConfig(TrainingConfig):
    """`sample`: completions of a model on the problems, scored."""

    split: Literal["test", "train"] = "test"
    """Which split of the problems."""
    problems: PositiveInt | None = None
    """Number of problems, from the first; by default all."""
    samples: PositiveInt = 1
    """Completions per problem."""
    sampling: SamplingConfig = SamplingConfig()
    """Sampling of the completions."""
    max_prompt_tokens: PositiveInt = 256
    """Most tokens of a prompt; a longer one is an error."""
    batch: PositiveInt = 256
    """Completions sampled together; results are written after each such batch."""
    engine: EngineConfig = EngineConfig()
    """Engine that generates them."""

    @model_validator(mode="after")
    def _engine_only_generates(self) -> Self:
        if self.engine.name == "verl":
            raise ValueError("engine verl trains with PPO; sample with vllm, hf or dropping")
        return self
