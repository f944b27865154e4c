"""Engines: what a row draws depends on its prompt and seed alone; HF generate agrees where it must."""

from pathlib import Path
from typing import Any

import pytest
import torch

from pipelines.errors import MissingRequirement, StageFailed
from pipelines.training.core.engine_configs import EngineConfig, SamplingConfig, VLLMConfig
from pipelines.training.generation import vllm_settings
from pipelines.training.generation.engine import Completion, GenerationRequest, rollout_seed, truncate_at_eos
from pipelines.training.generation.factory import make_engine
from pipelines.training.generation.hf import HFEngine
from pipelines.training.generation.row_dropping import RowDroppingEngine, sample_tokens
from tests.training.helpers import CPU, EOS, TinyTokenizer, tiny_model

pytestmark = pytest.mark.train

TOKENIZER: Any = TinyTokenizer()
REQUESTS = [
    GenerationRequest(prompt, rollout_seed(0, "train", 0, str(index), 0))
    for index, prompt in enumerate([(5, 6, 7), (2,), (9, 8, 7, 6, 5), (3, 3), (5, 6, 7), (4, 2, 4), (11,), (10, 2)] * 4)
]


@pytest.fixture(scope="module")
def model() -> Any:
    """Ends completions often enough that rows are dropped all the time."""
    made = tiny_model()
    with torch.no_grad():
        made.model.embed_tokens.weight[EOS] *= 1.5
    return made


def alone(model: Any, request: GenerationRequest, sampling: SamplingConfig) -> Completion:
    """The completion of one request by a loop without cache, padding or company."""
    tokens: list[int] = []
    uniforms = __import__("numpy").random.default_rng(request.seed).random(sampling.max_new_tokens)
    for uniform in uniforms:
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([[*request.prompt, *tokens]])).logits[0, -1:]
        tokens.append(int(sample_tokens(logits, torch.tensor([uniform]), sampling)))
        if tokens[-1] == EOS:
            break
    return Completion(tuple(tokens), "stop" if tokens[-1] == EOS else "length")


def test_rows_draw_what_they_would_draw_alone(model: Any) -> None:
    sampling = SamplingConfig(max_new_tokens=24)
    together = RowDroppingEngine(model, TOKENIZER, CPU).generate(REQUESTS, sampling)
    assert {each.finish_reason for each in together} == {"stop", "length"}
    assert together == [alone(model, request, sampling) for request in REQUESTS]


@pytest.mark.parametrize("size", [1, 3, 7])
def test_rows_do_not_depend_on_their_batch(model: Any, size: int) -> None:
    sampling = SamplingConfig(max_new_tokens=16)
    together = RowDroppingEngine(model, TOKENIZER, CPU).generate(REQUESTS, sampling)
    assert RowDroppingEngine(model, TOKENIZER, CPU, batch=size).generate(REQUESTS, sampling) == together
    backwards = RowDroppingEngine(model, TOKENIZER, CPU).generate(REQUESTS[::-1], sampling)
    assert backwards == together[::-1]


def test_greedy_completions_are_those_of_hf_generate(model: Any) -> None:
    sampling = SamplingConfig(max_new_tokens=16, temperature=0)
    ours = RowDroppingEngine(model, TOKENIZER, CPU).generate(REQUESTS[:8], sampling)
    assert HFEngine(model, TOKENIZER, CPU).generate(REQUESTS[:8], sampling) == ours


def test_hf_generate_is_seeded_and_leaves_the_global_generator_alone(model: Any) -> None:
    engine = HFEngine(model, TOKENIZER, CPU, batch=4)
    sampling = SamplingConfig(max_new_tokens=8)
    torch.manual_seed(5)
    first = engine.generate(REQUESTS[:8], sampling)
    after = torch.rand(1)
    torch.manual_seed(5)
    assert torch.equal(torch.rand(1), after)
    assert engine.generate(REQUESTS[:8], sampling) == first
    assert len({each.tokens for each in first}) > 1


def test_draws_follow_the_distribution() -> None:
    logits = torch.tensor([0.0, 1.0, -1.0, 2.0]).repeat(40_000, 1)
    uniforms = torch.rand(40_000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    counts = sample_tokens(logits, uniforms, SamplingConfig(temperature=0.7)).bincount(minlength=4) / 40_000
    expected = (logits[0] / 0.7).softmax(-1)
    assert counts.tolist() == pytest.approx(expected.tolist(), abs=0.01)


@pytest.mark.parametrize(
    ("sampling", "allowed"),
    [
        (SamplingConfig(top_k=2), {1, 3}),
        (SamplingConfig(top_p=0.6), {3}),
        (SamplingConfig(top_p=0.7), {1, 3}),
        (SamplingConfig(temperature=0), {3}),
        (SamplingConfig(), {0, 1, 2, 3}),
    ],
)
def test_truncated_draws_stay_among_the_likeliest(sampling: SamplingConfig, allowed: set[int]) -> None:
    logits = torch.tensor([0.0, 1.0, -1.0, 2.0]).repeat(1_000, 1)
    uniforms = torch.linspace(0, 1 - 1e-9, 1_000, dtype=torch.float64)
    assert set(sample_tokens(logits, uniforms, sampling).tolist()) == allowed


def test_a_token_of_no_probability_is_never_drawn() -> None:
    logits = torch.tensor([[-torch.inf, 0.0, -torch.inf]])
    for uniform in (0.0, 0.5, 1 - 1e-16):
        assert sample_tokens(logits, torch.tensor([uniform], dtype=torch.float64), SamplingConfig()).tolist() == [1]


def test_seeds_tell_every_place_apart() -> None:
    places = [(0, "train", 0, "a", 0), (1, "train", 0, "a", 0), (0, "test", 0, "a", 0), (0, "train", 1, "a", 0)]
    places += [(0, "train", 0, "b", 0), (0, "train", 0, "a", 1)]
    assert len({rollout_seed(*place) for place in places}) == len(places)
    assert all(0 <= rollout_seed(*place) < 2**63 for place in places)


def test_what_follows_the_end_is_cut() -> None:
    assert truncate_at_eos([5, EOS, 7, 7], frozenset({EOS})) == Completion((5, EOS), "stop")
    assert truncate_at_eos([5, 6], frozenset({EOS})) == Completion((5, 6), "length")


def test_out_of_memory_names_the_batch(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def explode(*args: Any, **kwargs: Any) -> None:
        raise RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(model, "forward", explode)
    with pytest.raises(StageFailed, match="generating 4 completions at once") as caught:
        RowDroppingEngine(model, TOKENIZER, CPU, batch=4).generate(REQUESTS, SamplingConfig(max_new_tokens=4))
    assert "engine.batch" in caught.value.remedy


def test_auto_is_our_loop_on_a_cpu(model: Any) -> None:
    assert engine_named("auto", model).name == "dropping"
    assert engine_named("hf", model).name == "hf"


def engine_named(name: Any, model: Any, **vllm: Any) -> Any:
    """The engine of a training stage."""
    config = EngineConfig(name=name, vllm=VLLMConfig(**vllm))
    return make_engine(config, model, TOKENIZER, CPU, path=Path("model"), max_sequence=40)


def test_vllm_that_is_not_there_is_named(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vllm_settings, "find_spec", lambda name: None)
    for mode in ("colocate", "server"):
        with pytest.raises(MissingRequirement, match="vllm"):
            engine_named("vllm", model, mode=mode)
