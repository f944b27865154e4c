"""What we ask of vLLM, by stand-ins that take only the names that vLLM takes; `tests/vllm` runs vLLM itself."""

import json
import socketserver
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from pipelines.errors import Interrupted, InvalidInput, StageFailed
from pipelines.training.core.engine_configs import SamplingConfig, VLLMConfig
from pipelines.training.core.runtime import Runtime
from pipelines.training.generation import vllm_process, vllm_settings
from pipelines.training.generation.engine import Completion, GenerationRequest
from pipelines.training.generation.vllm import ColocatedVLLMEngine, VLLMEngine
from pipelines.training.generation.vllm_process import ask
from pipelines.training.generation.vllm_server import ServedVLLMEngine
from pipelines.training.generation.vllm_settings import VLLMModel, load_model_config, vllm_model
from tests.training.helpers import CPU, EOS, TinyTokenizer, tiny_model
from tests.vllm.signatures import check

pytestmark = pytest.mark.train

TOKENIZER: Any = TinyTokenizer()
REQUESTS = [GenerationRequest((5, 6, 7), 2**62), GenerationRequest((2,), 11)]
SAMPLING = SamplingConfig(max_new_tokens=9, temperature=0.5, top_p=0.9, top_k=3)


class CheckedLibrary:
    """Stands for the package `vllm`: refuses what the real one does not take, and answers prompt, EOS, 3."""

    def __init__(self) -> None:
        self.settings: list[dict[str, Any]] = []
        self.started: list[dict[str, Any]] = []
        self.called: list[tuple[str, Any]] = []
        core = SimpleNamespace(shutdown=lambda: self.called.append(("shutdown", None)))
        self.llm_engine = SimpleNamespace(engine_core=core)
        self.loaded: dict[str, torch.Tensor] = {}

    def SamplingParams(self, **given: Any) -> dict[str, Any]:  # noqa: N802 # vLLM's name
        check("SamplingParams", given)
        self.settings.append(given)
        return given

    def LLM(self, **given: Any) -> "CheckedLibrary":  # noqa: N802
        check("LLM", given)
        self.started.append(given)
        return self

    def generate(self, prompts: list[dict[str, Any]], **given: Any) -> list[Any]:
        check("LLM.generate", given)
        assert len(given["sampling_params"]) == len(prompts)
        ids = [[*each["prompt_token_ids"], EOS, 3] for each in prompts]
        self.called.append(("generate", len(prompts)))
        return [
            SimpleNamespace(
                outputs=[SimpleNamespace(token_ids=row, logprobs=SimpleNamespace(logprobs=[-0.5] * len(row)))]
            )
            for row in ids
        ]

    def collective_rpc(self, method: Any, **given: Any) -> None:
        check("LLM.collective_rpc", given)
        self.called.append(("load", None))
        method(SimpleNamespace(model_runner=self), *given["args"])

    def reload_weights(self, **given: Any) -> None:
        check("GPUModelRunner.reload_weights", given)
        self.loaded = dict(given["weights_iterator"])

    def get_model(self) -> Any:
        return SimpleNamespace()

    def sleep(self, **given: Any) -> None:
        check("LLM.sleep", given)
        self.called.append(("sleep", given["level"]))

    def wake_up(self, **given: Any) -> None:
        check("LLM.wake_up", given)
        self.called.append(("wake", given["tags"]))

    def reset_prefix_cache(self) -> None:
        self.called.append(("reset", None))


def described(tmp_path: Path, longest: int = 40) -> VLLMModel:
    """The files of a small model, as an engine is told of them."""
    tiny_model().save_pretrained(tmp_path)
    return vllm_model(tmp_path, load_model_config(tmp_path), TOKENIZER, longest)


def test_the_engine_gets_the_number_type_the_seeds_and_no_more_positions_than_there_are(tmp_path: Path) -> None:
    library = CheckedLibrary()
    bfloat16 = Runtime(torch.device("cpu"), torch.bfloat16)
    model = described(tmp_path, longest=5000)
    engine = VLLMEngine(model, VLLMConfig(tensor_parallel=8, gpu_memory=0.9), bfloat16, library=library)
    assert library.started == [], "prompts are checked before it starts"
    found = engine.generate(REQUESTS, SAMPLING)
    assert found == [Completion((5, 6, 7, EOS), "stop", (-0.5,) * 4), Completion((2, EOS), "stop", (-0.5,) * 2)]
    (started,) = library.started
    expected = {
        "model": str(tmp_path),
        "dtype": "bfloat16",
        "max_model_len": 64,
        "tensor_parallel_size": 8,
        "gpu_memory_utilization": 0.9,
        "logprobs_mode": "processed_logprobs",
    }
    assert started.items() >= expected.items()
    assert [each["seed"] for each in library.settings] == [2**62, 11]
    asked = {"temperature": 0.5, "top_p": 0.9, "top_k": 3, "max_tokens": 9, "logprobs": 0, "stop_token_ids": [EOS]}
    assert library.settings[0].items() >= asked.items()
    engine.close()
    engine.close()
    assert [name for name, _ in library.called].count("shutdown") == 1


def test_weights_are_loaded_once_a_step_and_the_random_state_stays(tmp_path: Path) -> None:
    library, policy = CheckedLibrary(), tiny_model(seed=3)

    def seeding(**given: Any) -> CheckedLibrary:
        torch.manual_seed(0)  # as vLLM does in its own process, which is ours here
        return CheckedLibrary.LLM(library, **given)

    library.LLM = seeding  # type: ignore[method-assign]
    engine = ColocatedVLLMEngine(described(tmp_path), VLLMConfig(), CPU, policy, library=library)
    torch.manual_seed(7)
    for step in (0, 0, 1):
        engine.sync(step)
    after = torch.rand(1)
    torch.manual_seed(7)
    assert torch.equal(torch.rand(1), after)
    assert [name for name, _ in library.called] == ["load", "reset"] * 2
    assert library.loaded.keys() == dict(policy.named_parameters()).keys()
    assert all(torch.equal(library.loaded[name], value) for name, value in policy.named_parameters())


def test_an_engine_that_sleeps_gets_its_weights_again(tmp_path: Path) -> None:
    library = CheckedLibrary()
    on_gpu = Runtime(torch.device("cuda"), torch.bfloat16)
    engine = ColocatedVLLMEngine(described(tmp_path), VLLMConfig(sleep=True), on_gpu, tiny_model(), library=library)
    for _ in range(2):
        engine.sync(0)
        engine.generate(REQUESTS, SAMPLING)
    woken = [("wake", ["weights"]), ("load", None), ("wake", ["kv_cache"]), ("reset", None)]
    assert library.called == [*woken, ("generate", 2), ("sleep", 2)] * 2
    assert library.started[0]["enable_sleep_mode"] is True


@dataclass
class Gathered:
    """One of four processes, whose requests are known beforehand."""

    rank: int
    shares: list[list[GenerationRequest]]
    size: int = 4

    def all_gather(self, items: Sequence[Any]) -> list[Any]:
        assert list(items) == [self.shares[self.rank]]
        return self.shares

    def broadcast(self, value: Any) -> Any:
        return value

    def all_reduce_max(self, number: int) -> int:
        return number


@pytest.mark.parametrize("rank", range(4))
def test_processes_that_share_a_model_ask_for_the_same_and_keep_their_own(
    rank: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "4")
    shares = [[GenerationRequest((2 + index, 5), index)] * (index % 3) for index in range(4)]
    library = CheckedLibrary()
    config = VLLMConfig(tensor_parallel=2)
    group = Gathered(rank, shares)
    engine = ColocatedVLLMEngine(described(tmp_path), config, CPU, tiny_model(), group, library=library)
    found = engine.generate(shares[rank], SAMPLING)
    assert [each.tokens for each in found] == [(2 + rank, 5, EOS)] * (rank % 3)
    assert [each["seed"] for each in library.settings] == [[1], [1], [2, 2], [2, 2]][rank]
    assert library.started[0]["distributed_executor_backend"] == "external_launcher"


def test_what_cannot_work_is_refused_before_anything_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, policy = described(tmp_path), tiny_model()
    monkeypatch.setattr(vllm_settings, "find_spec", lambda name: name)
    with pytest.raises(InvalidInput, match=r"tensor_parallel is 2, which does not divide the 1 process "):
        ColocatedVLLMEngine(model, VLLMConfig(tensor_parallel=2), CPU, policy)
    with pytest.raises(InvalidInput, match=r"sleep frees GPU memory"):
        ColocatedVLLMEngine(model, VLLMConfig(sleep=True), CPU, policy)
    with pytest.raises(InvalidInput, match=r"engine\.vllm\.mode is server"):
        VLLMEngine(model, VLLMConfig(mode="server"), CPU)
    with pytest.raises(InvalidInput, match="a server that several stages share"):
        ServedVLLMEngine(model, VLLMConfig(mode="server", server_url="http://localhost:8000"), CPU, policy)
    on_gpu = Runtime(torch.device("cuda"), torch.bfloat16)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    monkeypatch.setenv("WORLD_SIZE", "4")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    with pytest.raises(InvalidInput, match="needs 1 GPUs besides the 4 of training, and torch sees 4"):
        ServedVLLMEngine(model, VLLMConfig(mode="server"), on_gpu, policy)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    with pytest.raises(InvalidInput, match="works on one node"):
        ServedVLLMEngine(model, VLLMConfig(mode="server"), CPU, policy)
    library = CheckedLibrary()
    with pytest.raises(InvalidInput, match="contains token 12, and the model has embeddings for 12 tokens"):
        VLLMEngine(model, VLLMConfig(), CPU, library=library).generate([GenerationRequest((2, 12), 0)], SAMPLING)
    assert library.started == []


def test_what_vllm_says_when_it_does_not_start_is_kept_whole(tmp_path: Path) -> None:
    library = CheckedLibrary()

    def failing(**given: Any) -> CheckedLibrary:
        raise ValueError("No available memory for the cache blocks.\nTry increasing `gpu_memory_utilization`.")

    library.LLM = failing  # type: ignore[method-assign]
    with pytest.raises(StageFailed, match="vLLM did not start") as caught:
        VLLMEngine(described(tmp_path), VLLMConfig(), CPU, library=library).generate(REQUESTS, SAMPLING)
    assert "No available memory for the cache blocks.\nTry increasing" in caught.value.detail
    assert "engine.vllm.gpu_memory" in caught.value.remedy


def test_a_stop_while_vllm_starts_is_a_stop(tmp_path: Path) -> None:
    library = CheckedLibrary()

    def stopped(**given: Any) -> CheckedLibrary:
        raise Interrupted("stopped by SIGTERM")

    library.LLM = stopped  # type: ignore[method-assign]
    with pytest.raises(Interrupted):
        VLLMEngine(described(tmp_path), VLLMConfig(), CPU, library=library).generate(REQUESTS, SAMPLING)


SERVER = Path(__file__).with_name("vllm_server_stand_in.py")


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Any]:
    """Makes an engine with a stand-in for the server, and ends it."""
    made: list[ServedVLLMEngine] = []

    def make(policy: Any, *arguments: str) -> ServedVLLMEngine:
        command = [sys.executable, str(SERVER), str(tmp_path / "log.jsonl"), *arguments]
        made.append(ServedVLLMEngine(described(tmp_path), VLLMConfig(mode="server"), CPU, policy, command=command))
        return made[-1]

    yield make
    for each in made:
        each.close()


def log(tmp_path: Path) -> list[dict[str, Any]]:
    """What the server was started with and asked."""
    lines = (tmp_path / "log.jsonl").read_text().splitlines()
    return [dict(json.loads(line)) for line in lines]


def test_a_server_is_started_by_the_stage_and_gets_weights_and_seeds(served: Any, tmp_path: Path) -> None:
    policy = tiny_model(seed=3)
    engine = served(policy)
    engine.sync(0)
    found = engine.generate(REQUESTS, SAMPLING)
    assert found == [Completion((5, 6, 7, EOS), "stop", (-0.5,) * 4), Completion((2, EOS), "stop", (-0.5,) * 2)]
    start, load, reset, *asked = log(tmp_path)
    assert "--uds" in start["arguments"]
    check("api_server", [each for each in start["arguments"] if each.startswith("--")])
    assert start["dev"] == "1"
    assert (load["method"], reset["route"]) == ("load_weight_files", "/reset_prefix_cache")
    assert load["sum"] == pytest.approx(
        sum(float(each.detach().double().sum()) for each in policy.parameters()), abs=1e-3
    )
    for request in asked:
        check("CompletionRequest", request["body"])
    assert sorted(request["body"]["seed"] for request in asked) == [11, 2**62]
    folder = engine._server.folder
    assert folder.stat().st_mode & 0o077 == 0
    engine.close()
    assert not folder.exists()


def test_a_server_that_dies_is_started_again_with_the_weights_and_asked_only_for_what_is_missing(
    served: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    engine = served(tiny_model(), "--die-after", "3")
    engine.sync(0)
    requests = [GenerationRequest((2, 3 + index % 8), index) for index in range(8)]
    found = engine.generate(requests, SAMPLING)
    assert [each.tokens for each in found] == [(*each.prompt, EOS) for each in requests]
    assert engine.restarts == 1
    assert "started again" in capsys.readouterr().err
    entries = log(tmp_path)
    assert [each["method"] for each in entries if "method" in each] == ["load_weight_files"] * 2
    answered = [each["body"]["seed"] for each in entries if each.get("answered")]
    assert sorted(answered) == list(range(8)), "nothing is drawn twice"


def test_a_server_that_dies_while_it_loads_weights_is_started_again(
    served: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    engine = served(tiny_model(), "--die-on-load")
    engine.sync(0)
    assert [each.tokens for each in engine.generate(REQUESTS, SAMPLING)] == [(5, 6, 7, EOS), (2, EOS)]
    assert "started again" in capsys.readouterr().err
    assert [each["method"] for each in log(tmp_path) if "method" in each] == ["load_weight_files"]


def test_a_server_that_will_not_live_fails_the_stage_with_its_log(served: Any, tmp_path: Path) -> None:
    with pytest.raises(StageFailed, match="ended with code 3 before it answered") as caught:
        served(tiny_model(), "--refuse").sync(0)
    assert "torch.OutOfMemoryError: no room" in caught.value.detail


def test_a_request_that_the_server_refuses_ends_with_its_message(tmp_path: Path) -> None:
    class Refusing(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            # Read whole: a socket closed with unread bytes breaks the pipe of a client that still writes.
            self.rfile.read(int(self.headers["Content-Length"]))
            body = b'{"error": {"message": "prompt is too long"}}'
            self.send_response(400)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def address_string(self) -> str:
            return "socket"

        def log_message(self, format: str, *given: Any) -> None:  # noqa: A002
            """Nothing is logged."""

    path = tmp_path / "s"
    with socketserver.UnixStreamServer(str(path), Refusing) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with pytest.raises(StageFailed, match="HTTP 400") as caught:
            ask(path, "POST", "/v1/completions", {})
        server.shutdown()
    assert "prompt is too long" in caught.value.detail
    with pytest.raises(vllm_process.ServerGone):
        ask(tmp_path / "nowhere", "GET", "/health")


def test_a_vllm_of_another_version_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(vllm_settings, "find_spec", lambda name: name)
    for version, warned in (("0.32.0", False), ("0.40.1", True), ("", False)):
        monkeypatch.setattr(vllm_settings, "_installed_version", lambda version=version: version)
        VLLMEngine(described(tmp_path), VLLMConfig(), CPU)
        assert (f"vLLM {version} is installed; the engine was written for 0.31" in capsys.readouterr().err) is warned
