"""The memory estimate against what torch allocates on the CPU: model, gradients, optimizer, activations, logits, cache.

Measured are all bytes that torch's allocator gives out, not the resident set, which contains the interpreter.
"""

from pathlib import Path
from typing import Any

import pytest
import torch

from pipelines.files import write_json
from pipelines.folder import StageFolder
from pipelines.tokenizer import build_tokenizer
from pipelines.training.core import fused_backbone
from pipelines.training.core.configs import PPOConfig, PrimeConfig
from pipelines.training.core.engine_configs import EngineConfig, SamplingConfig
from pipelines.training.generation import row_dropping
from pipelines.training.generation.engine import GenerationRequest
from pipelines.training.generation.factory import make_engine
from pipelines.training.memory import estimate as estimates
from pipelines.training.memory import parts
from pipelines.training.memory.estimate import MemoryEstimate, estimate_stage
from pipelines.training.memory.parts import ProcessLayout
from pipelines.training.memory.shape import ModelShape, known_shape
from pipelines.training.ppo import batch as ppo_batch
from pipelines.training.ppo import networks
from pipelines.training.ppo.batch import RolloutBatch
from pipelines.training.rl.ranks import SingleProcess
from pipelines.training.stages.ppo import build_trainer
from pipelines.training.supervised.sft import fine_tune
from tests.training.helpers import CPU, EOS, PAD, TinyTokenizer
from tests.training.memory_counter import peak_bytes
from tests.training.test_batch import Row

pytestmark = pytest.mark.train
PROMPT, NEW = 16, 80
SIZES: dict[str, Any] = {
    "vocab_size": 2000,
    "hidden_size": 256,
    "intermediate_size": 704,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
    "tie_word_embeddings": True,
    "bos_token_id": None,
    "eos_token_id": EOS,
    "pad_token_id": PAD,
}


def make_model(family: str = "qwen2", **sizes: Any) -> Any:
    """A random model of some millions of parameters."""
    import transformers

    name = {"qwen2": "Qwen2", "llama": "Llama", "qwen3": "Qwen3", "mistral": "Mistral"}[family]
    torch.manual_seed(0)
    config = getattr(transformers, f"{name}Config")(**(SIZES | sizes))
    return getattr(transformers, f"{name}ForCausalLM")(config).eval()


def shape_of(family: str = "qwen2", **sizes: Any) -> ModelShape:
    """The shape of such a model, from its config alone."""
    return ModelShape.from_config(SIZES | {"model_type": family} | sizes)


def estimate(kind: str, config: dict[str, Any], shape: ModelShape) -> MemoryEstimate:
    """The estimate on a CPU."""
    found = estimate_stage(kind, config, shape, ProcessLayout("cpu"))
    assert found is not None
    return found


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fields", "sizes"),
    [
        ({"mini_batch": 8}, {}),
        ({"mini_batch": 8, "micro_batch": 2}, {"vocab_size": 9000, "tie_word_embeddings": False}),
        ({"mini_batch": 8, "micro_batch": 4, "recompute": True, "kl": 0.0}, {"num_hidden_layers": 5}),
        ({"actor": {"mini_batch": 8}, "critic": {"mini_batch": 4}}, {}),
    ],
)
def test_an_update_of_ppo_takes_what_was_estimated(fields: dict[str, Any], sizes: dict[str, Any]) -> None:
    config = PPOConfig.model_validate(
        {
            "prompts": 4,
            "rollouts": 2,
            "sampling": {"max_new_tokens": NEW},
            "max_prompt_tokens": PROMPT,
            "engine": {"batch": 1},
            **fields,
        }
    )
    rows: list[Any] = [
        Row(tuple(range(2, 2 + PROMPT)), tuple(range(30 + row, 30 + row + NEW)), float(row % 2)) for row in range(8)
    ]
    rollouts = RolloutBatch.from_rollouts(rows, PAD)
    with peak_bytes() as peak:
        trainer = build_trainer(config, make_model(**sizes), CPU, SingleProcess())
        for step in range(2):
            trainer.update(rollouts, step)
    found = estimate("ppo", config.model_dump(mode="json"), shape_of(**sizes))
    assert found.update == pytest.approx(peak.value, rel=0.15)


@pytest.mark.slow
@pytest.mark.parametrize(("engine", "fused"), [("dropping", True), ("dropping", False), ("hf", False)])
def test_sampling_takes_what_was_estimated(
    engine: str, fused: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Endless(TinyTokenizer):
        eos_token_id = 10**6

    if not fused:
        monkeypatch.setattr(row_dropping, "can_fuse", lambda *_: False)
        monkeypatch.setattr(parts, "FUSED_BYTES", 0)
    config = EngineConfig(name=engine)
    requests = [GenerationRequest(tuple(range(2, 2 + PROMPT)), seed) for seed in range(32)]
    with peak_bytes() as peak:
        model = make_model()
        model.generation_config.eos_token_id = None
        made = make_engine(config, model, Endless(), CPU, path=tmp_path, max_sequence=PROMPT + 12)
        found = made.generate(requests, SamplingConfig(max_new_tokens=12))
    assert {len(each.tokens) for each in found} == {12}
    wanted = {
        "engine": {"name": engine},
        "batch": 32,
        "sampling": {"max_new_tokens": 12},
        "max_prompt_tokens": PROMPT,
    }
    assert estimate("sample", wanted, shape_of()).generation == pytest.approx(peak.value, rel=0.15)


@pytest.mark.slow
def test_priming_takes_what_was_estimated(tmp_path: Path) -> None:
    from datasets import Dataset

    length = 96
    tokenizer = build_tokenizer((), [f"w{index}" for index in range(1994)], range(1))
    sizes: dict[str, Any] = {"vocab_size": len(tokenizer)}
    make_model(**sizes).save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    stage = tmp_path / "stage"
    stage.mkdir()
    write_json(stage / "stage.json", {"kind": "prime", "key": "prime-000000000000", "config": {}})
    config = PrimeConfig(epochs=2, batch_size=8, micro_batch=4, max_tokens=length)
    text = [5 + index for index in range(length)]
    rows = Dataset.from_list([{"input_ids": text, "completion_mask": [1] * length} for _ in range(8)])
    with peak_bytes() as peak:
        fine_tune(config, tmp_path / "model", tokenizer, rows, StageFolder(stage), CPU, stream="priming")
    found = estimate("prime", config.model_dump(mode="json"), shape_of(**sizes))
    assert found.update == pytest.approx(peak.value, rel=0.15)


@pytest.mark.parametrize("family", ["qwen2", "llama", "qwen3", "mistral"])
@pytest.mark.parametrize("tied", [True, False])
def test_parameters_are_counted_from_the_config(family: str, tied: bool) -> None:
    sizes = {"tie_word_embeddings": tied, "head_dim": 32}
    with torch.device("meta"):
        model = make_model(family, **sizes)
    if family == "qwen2":
        sizes.pop("head_dim")  # it has no such setting
    shape = ModelShape.from_config(model.config.to_dict())
    assert shape.parameters == sum(parameter.numel() for parameter in model.parameters())
    assert shape.backbone == sum(parameter.numel() for parameter in model.base_model.parameters())


def test_well_known_models_have_the_size_they_are_known_for() -> None:
    for name, billions in {
        "Qwen/Qwen2.5-3B": 3.086, "Qwen/Qwen2.5-0.5B": 0.494, "Qwen/Qwen2.5-7B-Instruct": 7.616,
        "meta-llama/Llama-3.2-3B": 3.213, "meta-llama/Llama-3.2-1B": 1.236, "meta-llama/Llama-3.1-8B": 8.030,
        "meta-llama/Llama-3.1-70B": 70.554,
    }.items():  # fmt: skip
        shape = known_shape(name)
        assert shape is not None
        assert shape.parameters / 1e9 == pytest.approx(billions, abs=1e-3)
    assert known_shape("qwen/qwen2.5-3b") == known_shape("Qwen/Qwen2.5-3B")
    assert known_shape("nobody/nothing") is None


def test_constants_are_those_of_the_code_they_describe() -> None:
    assert parts.BYTES_OF_LOGITS_AT_ONCE == networks.LOGITS_BYTES == row_dropping._SAMPLED_BYTES
    assert parts.FUSED_BYTES == fused_backbone.FUSED_BYTES
    assert ppo_batch.MICRO_BATCH_TOKENS == {"cpu": estimates.CPU_TOKENS, "cuda": estimates.CUDA_TOKENS}
