"""The fused decoder computes what transformers computes: Llama and Qwen2, padded prompts, dropped rows, key sharing."""

from typing import Any

import pytest
import torch

from pipelines.training.core.engine_configs import SamplingConfig
from pipelines.training.core.runtime import Runtime
from pipelines.training.generation.decoders import Decoder, FusedDecoder, FusedWeights, TransformersDecoder, can_fuse
from pipelines.training.generation.in_process import left_pad

pytestmark = pytest.mark.train

CPU = torch.device("cpu")
PROMPTS = [(5, 6, 7), (2,), (9, 8, 7, 6, 5), (3, 3), (4, 2, 4, 1), (11,), (10, 2), (7, 7, 7, 7, 7, 7)]
STEPS = 20


def model_of(family: str, **fields: Any) -> Any:
    """A random model whose norm gains and biases are not trivial."""
    import transformers

    torch.manual_seed(3)
    config = getattr(transformers, f"{family}Config")(
        vocab_size=40,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=64,
        initializer_range=0.3,
        **{"num_key_value_heads": 4, "tie_word_embeddings": True, **fields},
    )
    model = getattr(transformers, f"{family}ForCausalLM")(config).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" in name or name.endswith("bias"):
                parameter.uniform_(0.5, 1.5)
    return model


FAMILIES = [
    ("Llama", {}),
    ("Llama", {"num_key_value_heads": 2, "attention_bias": True, "mlp_bias": True}),
    ("Llama", {"head_dim": 16, "tie_word_embeddings": False}),
    ("Llama", {"rope_parameters": {"rope_type": "linear", "rope_theta": 10_000.0, "factor": 2.0}}),
    ("Qwen2", {}),
    ("Qwen2", {"num_key_value_heads": 1, "tie_word_embeddings": False}),
]


def walk(decoder: Decoder, prompts: list[tuple[int, ...]]) -> list[torch.Tensor]:
    """Logits of each step of greedy decoding; every sixth step drops the first row."""
    ids, mask, positions = left_pad(prompts, 0, CPU)
    found = [decoder.prefill(ids, mask, positions)]
    last = positions[:, -1]
    for step in range(STEPS):
        logits = found[-1]
        if step % 6 == 5:
            kept = torch.arange(1, len(logits))
            decoder.keep(kept)
            logits, last = logits[kept], last[kept]
        last = last + 1
        found.append(decoder.step(logits.argmax(-1), last))
    return found


@pytest.mark.parametrize(("family", "fields"), FAMILIES)
@pytest.mark.parametrize("prompts", [PROMPTS, [(5, 6, 7)] * 5], ids=["padded", "even"])
def test_fused_logits_are_those_of_transformers(
    family: str, fields: dict[str, Any], prompts: list[tuple[int, ...]]
) -> None:
    model = model_of(family, **fields)
    assert can_fuse(model, CPU, torch.float32)
    with torch.inference_mode():
        theirs = walk(TransformersDecoder(model), prompts)
        ours = walk(FusedDecoder(model, FusedWeights(model, 64), STEPS), prompts)
    for step, (expected, found) in enumerate(zip(theirs, ours, strict=True)):
        assert torch.allclose(found, expected, rtol=1e-4, atol=1e-4), step
        assert torch.equal(found.argmax(-1), expected.argmax(-1)), step


def test_new_weights_need_new_fused_weights() -> None:
    model = model_of("Qwen2")
    with torch.inference_mode():
        before = walk(FusedDecoder(model, FusedWeights(model, 64), STEPS), PROMPTS)
    with torch.no_grad():
        model.model.layers[0].self_attn.q_proj.weight.mul_(-1)
    with torch.inference_mode():
        theirs = walk(TransformersDecoder(model), PROMPTS)
        ours = walk(FusedDecoder(model, FusedWeights(model, 64), STEPS), PROMPTS)
    assert torch.allclose(ours[-1], theirs[-1], rtol=1e-4, atol=1e-4)
    assert not torch.allclose(ours[1], before[1], rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize(
    ("family", "fields"),
    [
        ("Mistral", {}),
        ("Qwen2", {"use_sliding_window": True, "sliding_window": 8, "max_window_layers": 0}),
        ("Llama", {"rope_parameters": {"rope_type": "dynamic", "rope_theta": 10_000.0, "factor": 2.0}}),
        ("Llama", {"hidden_act": "gelu"}),
    ],
)
def test_other_architectures_are_left_to_transformers(family: str, fields: dict[str, Any]) -> None:
    assert not can_fuse(model_of(family, **fields), CPU, torch.float32)


def test_other_number_types_and_devices_are_left_to_transformers() -> None:
    model = model_of("Llama")
    assert not can_fuse(model, CPU, torch.bfloat16)
    assert not can_fuse(model, torch.device("cuda"), torch.float32)
    assert not can_fuse(model.to(torch.bfloat16), CPU, torch.float32)


def test_the_engine_draws_the_same_tokens_with_either_decoder(monkeypatch: pytest.MonkeyPatch) -> None:
    from pipelines.training.generation import row_dropping
    from pipelines.training.generation.engine import GenerationRequest
    from tests.training.helpers import TinyTokenizer

    model = model_of("Qwen2")
    requests = [GenerationRequest(prompt, seed) for seed, prompt in enumerate(PROMPTS * 6)]
    tokenizer: Any = TinyTokenizer()
    engine = row_dropping.RowDroppingEngine(model, tokenizer, Runtime(CPU, torch.float32))
    fused = engine.generate(requests, SamplingConfig(max_new_tokens=24))
    monkeypatch.setattr(row_dropping, "can_fuse", lambda *_: False)
    assert engine.generate(requests, SamplingConfig(max_new_tokens=24)) == fused
    assert {each.finish_reason for each in fused} == {"stop", "length"}
