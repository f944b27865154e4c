"""Configs of the training stages: `base`, `prime`, `ppo`, `sample`. Light: nothing here imports torch.

Defaults of `prime` and `ppo` are those of the published runs (3B models, eight GPUs); recipes for small
models set their own.
"""

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from pipelines.stages import UNLESS_DEFAULT, StageConfig
from pipelines.teachers.conditions import ConditionName
from pipelines.training.shipped import SHIPPED_NAMES, shipped_model

PositiveInt = Annotated[int, Field(ge=1)]
NonNegativeInt = Annotated[int, Field(ge=0)]
PositiveFloat = Annotated[float, Field(gt=0)]
Fraction = Annotated[float, Field(ge=0, le=1)]
NonNegativeFloat = Annotated[float, Field(ge=0)]

_OUTSIDE_KEY: dict[str, Any] = {"in_key": False}


class ConfigTable(BaseModel):
    """A table inside a training config."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, use_attribute_docstrings=True)


class TrainingConfig(StageConfig):
    """What every training stage has."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    seed: int = 0
    """Seeds every random choice of the stage."""
    threads: PositiveInt = 1
    """CPU threads for torch; one per process and one process per condition is fastest on few cores."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where to compute; `auto` takes a GPU when there is one."""
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    """Number type of the weights; `auto` is bfloat16 on a GPU and float32 on a CPU, where bfloat16 crawls."""
    checkpoint_every: NonNegativeInt = Field(default=0, json_schema_extra=_OUTSIDE_KEY)
    """Steps between checkpoints; 0 lets the stage choose. A stop signal always saves one."""


class TokenizerConfig(ConfigTable):
    """A word-level tokenizer with a closed vocabulary; fixed phrases of the teacher are single tokens."""

    style: str = "plain"
    """Style of the teacher whose phrases become tokens."""
    max_number: PositiveInt | None = None
    """Largest whole number that is one token; by default the bound of the problems' arithmetic."""


class ArchitectureConfig(ConfigTable):
    """Shape of a model made from scratch."""

    family: Literal["llama", "qwen2"] = "llama"
    """Architecture, as transformers names it. AutoTokenizer replaces the tokenizer of a `qwen2` made here by Qwen's."""
    hidden_size: PositiveInt = 64
    """Width of the residual stream."""
    layers: PositiveInt = 3
    """Number of transformer blocks."""
    heads: PositiveInt = 2
    """Attention heads; the width must divide by them."""
    kv_heads: PositiveInt | None = None
    """Key and value heads; by default as many as attention heads."""
    intermediate_size: PositiveInt = 192
    """Width of the feed-forward layers."""
    max_positions: PositiveInt = 256
    """Longest sequence in tokens; positions beyond the pretraining length stay untrained."""
    initializer_range: PositiveFloat | None = None
    """Standard deviation of the first weights; by default 1/√hidden_size, with which small models learn much sooner
    than with the 0.02 that suits large ones."""
    tie_embeddings: bool = True
    """Whether input and output embeddings are one matrix."""

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
    """Linear solutions per step."""
    documents: NonNegativeInt = 5
    """Documents per step: equations with honest verdicts about a goal, packed."""
    worksheets: NonNegativeInt = 5
    """Worksheets per step: many ways of combining the same numbers, packed."""
    weights: tuple[NonNegativeFloat, NonNegativeFloat, NonNegativeFloat] = (0.4, 0.3, 0.3)
    """Loss weights of linear solutions, documents and worksheets."""
    linear_correct: Fraction = 0.3
    """Share of the linear solutions that reach the target."""
    habits: Fraction = Field(default=0, json_schema_extra=UNLESS_DEFAULT)
    """Share of the linear solutions replaced by short search traces of `habit_condition`, so that the base shows
    behaviours before any priming."""
    habit_condition: ConditionName = Field(default="backtracking_verification", json_schema_extra=UNLESS_DEFAULT)
    """Priming condition of those search traces."""
    text_tokens: PositiveInt = 140
    """Length of a document or worksheet in tokens."""
    learning_rate: PositiveFloat = 3e-3
    """Peak learning rate of AdamW."""
    betas: tuple[Fraction, Fraction] = (0.9, 0.98)
    """Decay rates of AdamW's moments."""
    weight_decay: NonNegativeFloat = 0.01
    """Decoupled weight decay."""
    max_grad_norm: PositiveFloat = 1.0
    """Gradients are scaled down to this norm."""
    warmup: Fraction = 0.02
    """Share of the steps over which the rate rises linearly from zero."""
    constant: Fraction = 0.3
    """Share of the steps at the peak rate before the cosine decay to zero."""


class BaseConfig(TrainingConfig):
    """`base`: a small model made and pretrained here, or an existing one taken over."""

    pretrained: str | None = None
    """A shipped model (`cogtui models`), a folder or a hub id; then nothing is trained."""
    revision: str | None = None
    """Revision of the hub model."""
    pad_token: str | None = None
    """Padding token for an existing tokenizer that has none; must be in its vocabulary."""
    tokenizer: TokenizerConfig = TokenizerConfig()
    """The tokenizer of a model made here."""
    architecture: ArchitectureConfig = ArchitectureConfig()
    """The shape of a model made here."""
    pretraining: PretrainingConfig | None = PretrainingConfig()
    """How a model made here is pretrained."""

    def key_fields(self) -> dict[str, Any]:
        """Return the fields that decide what the stage computes; a shipped model counts by its content."""
        fields = super().key_fields()
        if self.pretrained in SHIPPED_NAMES:
            fields["pretrained"] = f"{self.pretrained}@{shipped_model(self.pretrained).digest}"
        return fields


class SupervisedConfig(TrainingConfig):
    """What stages have that train on texts with TRL's SFTTrainer."""

    epochs: PositiveInt = 5
    """Passes over the data."""
    batch_size: PositiveInt = 64
    """Texts (or packed blocks) per optimizer step."""
    micro_batch: PositiveInt | None = None
    """Of these per forward pass; by default the whole batch."""
    learning_rate: PositiveFloat = 1e-5
    """Peak learning rate of AdamW."""
    schedule: Literal["constant", "linear", "cosine"] = "cosine"
    """How the rate falls after the warm-up."""
    warmup: Fraction = 0.05
    """Share of the steps over which the rate rises linearly from zero."""
    weight_decay: NonNegativeFloat = 0.0
    """Decoupled weight decay."""
    max_grad_norm: PositiveFloat = 1.0
    """Gradients are scaled down to this norm."""


class PrimeConfig(SupervisedConfig):
    """`prime`: supervised fine-tuning on priming data with TRL, loss on completions only."""

    max_tokens: PositiveInt = 1280
    """Longest prompt and completion together; a longer trace is an error, never cut."""


class PretrainConfig(SupervisedConfig):
    """`pretrain`: continued pretraining on a curated set with TRL."""

    condition: Literal["owm_rich", "owm_minimised"]
    """Which of the two sets."""
    epochs: PositiveInt = 1
    """Passes over the set."""
    loss: Literal["full", "completion"] = "full"
    """`completion` learns only what follows the question of a rewritten document."""
    packing: bool = True
    """Whether texts are strung together and cut into blocks of `max_tokens`; else each is a row of its own."""
    max_tokens: PositiveInt = 2048
    """Length of a block. Without packing the longest text; a longer one is an error, never cut."""


class SamplingConfig(ConfigTable):
    """How completions are drawn."""

    max_new_tokens: PositiveInt = 1024
    """Most tokens of a completion, the end-of-sequence token included."""
    temperature: NonNegativeFloat = 1.0
    """Divides the logits; 0 takes the likeliest token."""
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Samples from the likeliest tokens that together reach this probability; 1 is off."""
    top_k: NonNegativeInt = 0
    """Samples from this many likeliest tokens; 0 is off."""


class VLLMConfig(ConfigTable):
    """vLLM as rollout engine; needs the extra and a GPU."""

    mode: Literal["colocate", "server"] = "colocate"
    """In this process on the same GPUs, or a server started elsewhere."""
    server_url: str | None = None
    """Base URL of the server."""
    gpu_memory: Annotated[float, Field(gt=0, lt=1)] = 0.3
    """Share of the GPU memory for vLLM when colocated."""
    tensor_parallel: PositiveInt = 1
    """GPUs that share one copy of the model."""
    sleep: bool = False
    """Frees vLLM's memory during updates."""


class EngineConfig(ConfigTable):
    """What generates rollouts."""

    name: Literal["auto", "dropping", "hf", "vllm"] = "auto"
    """`dropping` is our loop that drops finished rows (the default on a CPU), `hf` is HF generate, `vllm` is vLLM."""
    batch: PositiveInt | None = None
    """Rows generated at once; by default all."""
    vllm: VLLMConfig = VLLMConfig()
    """Settings of vLLM."""


class OptimizerConfig(ConfigTable):
    """AdamW and its schedule: linear warm-up, then constant."""

    learning_rate: PositiveFloat = 1e-6
    """Learning rate after the warm-up."""
    warmup_steps: NonNegativeInt = 0
    """Optimizer steps over which the rate rises linearly from zero."""
    betas: tuple[Fraction, Fraction] = (0.9, 0.999)
    """Decay rates of the moments."""
    eps: PositiveFloat = 1e-8
    """Added to the denominator."""
    weight_decay: NonNegativeFloat = 0.01
    """Decoupled weight decay."""


class EvaluationConfig(ConfigTable):
    """Evaluation on the test problems during training."""

    every: NonNegativeInt = 10
    """PPO steps between evaluations; also before the first and after the last. 0 turns it off."""
    problems: PositiveInt | None = None
    """How many of the test problems, from the first; by default all."""
    samples: PositiveInt = 1
    """Completions per problem."""
    sampling: SamplingConfig | None = None
    """How they are drawn; by default as in training."""


class PPOConfig(TrainingConfig):
    """`ppo`: reinforcement learning with the exact reward."""

    algorithm: Literal["ppo", "grpo"] = "ppo"
    """`ppo` is ours, with a critic; `grpo` is TRL's, without: critic, gamma, lam and value_clip then mean nothing."""
    steps: PositiveInt = 250
    """Rounds of rollouts and updates."""
    prompts: PositiveInt = 256
    """Problems per step."""
    rollouts: PositiveInt = 4
    """Completions per problem and step."""
    sampling: SamplingConfig = SamplingConfig()
    """How rollouts are drawn."""
    max_prompt_tokens: PositiveInt = 256
    """A longer prompt is an error."""
    engine: EngineConfig = EngineConfig()
    """What generates rollouts."""
    actor: OptimizerConfig = OptimizerConfig()
    """Optimizer of the policy."""
    critic: OptimizerConfig = OptimizerConfig(learning_rate=1e-5)
    """Optimizer of the critic, which starts from the policy's weights."""
    critic_warmup_steps: NonNegativeInt = 0
    """First steps in which only the critic learns."""
    critic_warmup_epochs: PositiveInt = 1
    """Passes of the critic over each batch of rollouts during its warm-up."""
    epochs: PositiveInt = 1
    """Passes over each batch of rollouts."""
    mini_batch: PositiveInt = 128
    """Rollouts per optimizer step."""
    micro_batch: PositiveInt | None = None
    """Rollouts per forward pass, chunked by length; by default the mini-batch. Smaller saves memory only."""
    gamma: Fraction = 1.0
    """Discount per token."""
    lam: Fraction = 1.0
    """Lambda of generalised advantage estimation."""
    clip: PositiveFloat = 0.2
    """The probability ratio is clipped to 1 ± this."""
    value_clip: NonNegativeFloat = 0.5
    """Values are clipped to the old value ± this in the loss; 0 turns it off."""
    kl: NonNegativeFloat = 0.001
    """Coefficient of the per-token k1 estimate of the KL to the starting policy, subtracted from the reward."""
    entropy: NonNegativeFloat = 0.001
    """Coefficient of the entropy bonus."""
    max_grad_norm: PositiveFloat = 1.0
    """Gradients of each model are scaled down to this norm."""
    whiten: bool = True
    """Whether advantages are brought to zero mean and unit variance over the batch's valid tokens."""
    evaluation: EvaluationConfig = EvaluationConfig()
    """Periodic evaluation on the test problems."""
    behaviors: bool = True
    """Whether the rules judge counts behaviours in every rollout for the metrics."""
    sharding: Literal["none", "fsdp"] = "none"
    """`fsdp` shards policy, critic, reference and optimizers over the processes that the stage's resources ask for."""
    recompute: bool = Field(default=False, json_schema_extra=_OUTSIDE_KEY)
    """Recomputes activations on the way back instead of keeping them: a third slower, far less memory, same result."""
    keep_checkpoints: PositiveInt = Field(default=2, json_schema_extra=_OUTSIDE_KEY)
    """How many of the newest checkpoints stay on disk."""

    @model_validator(mode="after")
    def _can_learn(self) -> Self:
        if self.sampling.temperature == 0:
            raise ValueError("sampling.temperature is 0: without chance in the rollouts there is nothing to learn from")
        return self

    @model_validator(mode="after")
    def _batches_divide(self) -> Self:
        # Accepting these and training something else would be worse than refusing them.
        if self.algorithm != "grpo":
            return self
        if self.sharding != "none":
            raise ValueError("sharding is of our PPO only: with algorithm grpo set it to none")
        if self.rollouts < 2:
            raise ValueError("algorithm grpo compares the completions of a problem: rollouts must be at least 2")
        batch = self.prompts * self.rollouts
        micro = self.micro_batch or self.mini_batch
        if batch % self.mini_batch or self.mini_batch % micro:
            raise ValueError(
                f"algorithm grpo needs batches that divide: {batch} rollouts a step, mini_batch {self.mini_batch}, "
                f"micro_batch {micro}"
            )
        return self


class SampleConfig(TrainingConfig):
    """`sample`: completions of a model on the problems, scored."""

    split: Literal["test", "train"] = "test"
    """Which problems."""
    problems: PositiveInt | None = None
    """How many of them, from the first; by default all."""
    samples: PositiveInt = 1
    """Completions per problem."""
    sampling: SamplingConfig = SamplingConfig()
    """How they are drawn."""
    max_prompt_tokens: PositiveInt = 256
    """A longer prompt is an error."""
    batch: PositiveInt = 256
    """Completions drawn together; also how often results are written."""
    engine: EngineConfig = EngineConfig()
    """What generates them."""
