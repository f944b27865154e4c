"""Engines: what a row draws depends on its prompt and seed alone; HF generate agrees where it must."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from pipelines.errors import InvalidInput, MissingRequirement, StageFailed
from pipelines.training.core.configs import EngineConfig, SamplingConfig, VLLMConfig
from pipelines.training.generation.engine import Completion, GenerationRequest, rollout_seed, truncate_at_eos
from pipelines.training.generation.factory import make_engine
from pipelines.training.generation.hf import HFEngine
from pipelines.training.generation.row_dropping import RowDroppingEngine, sample_tokens
from pipelines.training.generation.vllm import SyncedVLLMEngine
from pipelines.training.generation.vllm_sampler import StandaloneVLLMEngine, load_model_config
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
    assert make_engine(EngineConfig(), model, TOKENIZER, CPU).name == "dropping"
    assert make_engine(EngineConfig(name="hf"), model, TOKENIZER, CPU).name == "hf"


def test_vllm_that_is_not_there_is_named(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.util

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingRequirement, match="vllm"):
        make_engine(EngineConfig(name="vllm"), model, TOKENIZER, CPU)


class FakeLibrary:
    """Answers like the `vllm` package."""

    def __init__(self) -> None:
        self.settings: list[dict[str, Any]] = []
        self.started: dict[str, Any] = {}

    def SamplingParams(self, **given: Any) -> dict[str, Any]:  # noqa: N802 # vLLM's name
        self.settings.append(given)
        return given

    def LLM(self, **given: Any) -> "FakeLibrary":  # noqa: N802
        self.started = given
        return self

    def generate(self, prompts: list[dict[str, Any]], *, sampling_params: list[Any], use_tqdm: bool) -> list[Any]:
        assert len(sampling_params) == len(prompts)
        return [
            SimpleNamespace(outputs=[SimpleNamespace(token_ids=[*each["prompt_token_ids"], EOS, 3])])
            for each in prompts
        ]


def test_a_sample_by_vllm_reads_the_files_and_seeds_every_request(tmp_path: Path) -> None:
    model = tiny_model()
    model.save_pretrained(tmp_path)
    library = FakeLibrary()
    seen = load_model_config(tmp_path)
    config = VLLMConfig(tensor_parallel=8, gpu_memory=0.9)
    engine = StandaloneVLLMEngine(tmp_path, seen, TOKENIZER, config, max_sequence=40, vllm=library)
    found = engine.generate(REQUESTS[:2], SamplingConfig(max_new_tokens=9, temperature=0.5, top_p=0.9, top_k=3))
    assert found == [Completion((5, 6, 7, EOS), "stop"), Completion((2, EOS), "stop")]
    assert library.started == {
        "model": str(tmp_path),
        "tensor_parallel_size": 8,
        "gpu_memory_utilization": 0.9,
        "max_model_len": 40,
    }
    assert [each["seed"] for each in library.settings] == [request.seed for request in REQUESTS[:2]]
    assert library.settings[0].items() >= {"temperature": 0.5, "top_p": 0.9, "top_k": 3, "max_tokens": 9}.items()
    assert seen.config.max_position_embeddings == model.config.max_position_embeddings
    with pytest.raises(InvalidInput, match=r"engine\.vllm\.mode is server"):
        StandaloneVLLMEngine(tmp_path, seen, TOKENIZER, VLLMConfig(mode="server"), max_sequence=40, vllm=library)


def test_processes_ask_vllm_for_equally_much(model: Any) -> None:
    backend = FakeVLLM()
    asked: list[int] = []

    def most(n: int) -> int:
        asked.append(n)
        return 3

    engine = SyncedVLLMEngine(model, TOKENIZER, VLLMConfig(), backend=backend, all_reduce_max=most)
    assert len(engine.generate(REQUESTS[:2], SamplingConfig(max_new_tokens=9))) == 2
    assert engine.generate([], SamplingConfig(max_new_tokens=9)) == []
    assert (backend.asked, asked) == ([3, 3], [2, 0])


def test_trl_gets_whole_parameters_and_how_long_a_sequence_may_be(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The real `VLLMGeneration` around a stand-in for vLLM: its signature, and how it walks our parameters."""
    import importlib.util
    import types

    from trl.generation import vllm_generation

    loaded: dict[str, torch.Tensor] = {}

    class LLM:
        def __init__(self, **given: Any) -> None:
            self.given = given
            runner = types.SimpleNamespace(model=types.SimpleNamespace(load_weights=loaded.update))
            worker = types.SimpleNamespace(model_runner=runner)
            executor = types.SimpleNamespace(driver_worker=worker)
            self.llm_engine = types.SimpleNamespace(model_executor=executor)

        def reset_prefix_cache(self) -> None:
            """Nothing is kept."""

    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name if name == "vllm" else found(name))
    monkeypatch.setattr(vllm_generation, "is_vllm_available", lambda: True)
    monkeypatch.setattr(vllm_generation, "LLM", LLM, raising=False)
    for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv(name, {"WORLD_SIZE": "1", "MASTER_ADDR": "localhost", "MASTER_PORT": "0"}.get(name, "0"))
    engine = SyncedVLLMEngine(model, TOKENIZER, VLLMConfig(gpu_memory=0.4), max_sequence=40)
    engine.sync(0)
    assert loaded.keys() == dict(model.named_parameters()).keys()
    assert all(torch.equal(loaded[name], value) for name, value in model.named_parameters())
    given = engine._vllm.llm.given
    assert (given["max_model_len"], given["gpu_memory_utilization"]) == (40, 0.4)


class FakeVLLM:
    """Answers like trl.generation.VLLMGeneration."""

    temperature = top_p = top_k = max_completion_length = 0.0
    synced = 0

    def __init__(self) -> None:
        self.asked: list[int] = []

    def sync_weights(self) -> None:
        self.synced += 1

    def generate(self, prompts: list[list[int]], images: None, num_generations: int) -> tuple[Any, ...]:
        assert (images, num_generations) == (None, 1)
        self.asked.append(len(prompts))
        return prompts, [[*prompt, EOS] for prompt in prompts], None, None


def test_vllm_gets_weights_once_a_step_and_the_sampling_of_each_call(model: Any) -> None:
    backend = FakeVLLM()
    engine = SyncedVLLMEngine(model, TOKENIZER, VLLMConfig(), backend=backend)
    for step in (0, 0, 1):
        engine.sync(step)
    assert backend.synced == 2
    found = engine.generate(REQUESTS[:2], SamplingConfig(max_new_tokens=9, temperature=0.5, top_p=0.9, top_k=3))
    assert found == [Completion((5, 6, 7, EOS), "stop"), Completion((2, EOS), "stop")]
    assert (backend.temperature, backend.top_p, backend.top_k, backend.max_completion_length) == (0.5, 0.9, 3, 9)
