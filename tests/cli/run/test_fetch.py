"""Models of the hub, from a server on the loopback interface: fetched, continued, pinned, and asked for by a plan."""

import errno
import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jobs.attempts.records import JobRecord
from jobs.planning.types import StageInstance
from jobs.recipe.resources import Resources
from jobs.submit.preflight import preflight, slurm_notes
from jobs.worker.command import child_environment
from jobs.workspace import Workspace
from pipelines import hub_fetch
from pipelines.errors import InvalidInput, MissingRequirement, NotFound
from pipelines.hub_cache import cached_config, cached_snapshot, missing_files
from pipelines.hub_fetch import fetch_model, parse_model
from tests.commands import cogtui_here
from tests.loopback.hub import GATED, Hub, serve_hub

pytest.importorskip("huggingface_hub")

CONFIG = json.dumps({"model_type": "qwen2", "hidden_size": 2048, "num_hidden_layers": 36, "num_attention_heads": 16,
                     "num_key_value_heads": 2, "intermediate_size": 11008, "vocab_size": 151936,
                     "tie_word_embeddings": True}).encode()  # fmt: skip
WEIGHTS = os.urandom(2_000_000)
MODELS = {
    "someone/model": {
        "config.json": CONFIG,
        "tokenizer.json": b"{}",
        "model.safetensors": WEIGHTS,
        "pytorch_model.bin": b"the same again",
        "onnx/model.onnx": b"and again",
        "README.md": b"# A model\n",
    },
    "someone/parts": {
        "config.json": CONFIG,
        "tokenizer.json": b"{}",
        "model.safetensors.index.json": b'{"weight_map": {"a": "m-1.safetensors", "b": "m-2.safetensors"}}',
        "m-1.safetensors": b"1",
    },
}  # fmt: skip


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    for name in ("HF_TOKEN", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    with serve_hub(MODELS) as served:
        monkeypatch.setenv("HF_ENDPOINT", served.url)
        yield served


def base(pretrained: str, **resources: Any) -> StageInstance:
    """A `base` stage that copies a model."""
    name, _, revision = pretrained.partition("@")
    config = {"pretrained": name, "revision": revision or None}
    return StageInstance(
        key="base-1", kind="base", name="base", config=config, key_fields={}, resources=Resources(**resources)
    )


def missing(stage: StageInstance, workspace: Path) -> list[tuple[str, str]]:
    """What the stage lacks, with the remedy."""
    found = preflight([stage], "local", Workspace(workspace))
    return [(one.summary, one.remedy) for one in found if "model" in one.summary]


def test_a_model_is_fetched_once_and_pinned(hub: Hub) -> None:
    lines: list[str] = []
    found = fetch_model("someone/model", None, lines.append)
    assert found.commit == hub.commit("someone/model")
    assert lines[1] == f"someone/model: 4 files, 2.00 MB, at {found.commit[:12]}"
    assert found.fetched == found.size
    assert sorted(path.name for path in found.folder.iterdir()) == [
        "README.md", "config.json", "model.safetensors", "tokenizer.json",
    ]  # fmt: skip
    assert (found.folder / "model.safetensors").read_bytes() == WEIGHTS
    assert cached_snapshot("someone/model", None) == cached_snapshot("someone/model", found.commit) == found.folder
    assert missing_files(found.folder) == []
    before = len(hub.requests)
    again = fetch_model("someone/model", None, lines.append)
    assert (again.fetched, again.folder) == (0, found.folder)
    assert not any("resolve" in request and "GET" in request for request in hub.requests[before:])


def test_a_broken_connection_continues_where_it_broke_off(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 50_000)
    hub.breaks_at = 1_500_000
    found = fetch_model("someone/model", None, lambda line: None)
    assert (found.folder / "model.safetensors").read_bytes() == WEIGHTS
    assert hub.ranges == ["bytes=1500000-"]


def test_an_interrupted_model_keeps_the_files_that_came_whole(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.breaks_at = 1_500_000  # less than huggingface_hub keeps, so that every try begins anew
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    with pytest.raises(MissingRequirement, match=r"cannot fetch someone/model from http://127\.0\.0\.1") as caught:
        fetch_model("someone/model", None, lambda line: None)
    assert "the same command continues" in caught.value.detail
    hub.breaks_at, hub.requests = None, []
    found = fetch_model("someone/model", None, lambda line: None)
    assert (found.folder / "model.safetensors").read_bytes() == WEIGHTS
    gets = [request for request in hub.requests if request.startswith("GET") and "/resolve/" in request]
    assert not any(request.endswith("config.json") for request in gets)


@pytest.mark.parametrize(
    ("name", "error", "said"),
    [
        ("someone/nothing", NotFound, "there is no model someone/nothing on the hub, or it is private"),
        ("someone/model@v9", NotFound, "there is no revision v9 of someone/model"),
        (GATED, InvalidInput, "accepted its terms"),
        ("someone/parts", InvalidInput, r"no model that can be loaded: it has no m-2\.safetensors"),
        ("a/b/c", InvalidInput, "names no model of the hub"),
        ("someone/..", InvalidInput, "names no model of the hub"),
        ("someone/model@", InvalidInput, "no revision after the @"),
        ("", InvalidInput, "names no model of the hub"),
    ],
)
@pytest.mark.usefixtures("hub")
def test_what_cannot_be_fetched_is_explained(name: str, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        fetch_model(*parse_model(name), lambda line: None)


def test_without_internet_it_says_so(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:1")
    with pytest.raises(MissingRequirement, match=r"cannot fetch someone/model from http://127\.0\.0\.1:1") as caught:
        fetch_model("someone/model", None, lambda line: None)
    assert "login node" in caught.value.remedy
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(MissingRequirement, match="HF_HUB_OFFLINE is set"):
        fetch_model("someone/model", None, lambda line: None)


def test_a_hub_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch, hub: Hub) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}")
        monkeypatch.setattr(hub_fetch, "_ANSWER_S", 0.2)
        lines: list[str] = []
        with pytest.raises(MissingRequirement, match="cannot fetch someone/model from"):
            fetch_model("someone/model", None, lines.append)
    assert lines == [f"someone/model: asking {os.environ['HF_ENDPOINT']}"]


def test_a_full_disk_is_no_lack_of_internet(monkeypatch: pytest.MonkeyPatch, hub: Hub) -> None:
    import huggingface_hub

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", full)
    with pytest.raises(MissingRequirement, match=r"cannot write to .*cache: No space left on device") as caught:
        fetch_model("someone/model", None, lambda line: None)
    assert "HF_HOME" in caught.value.remedy


def test_a_missing_model_is_found_before_the_first_stage(hub: Hub, tmp_path: Path) -> None:
    ((said, remedy),) = missing(base("someone/model"), tmp_path)
    assert said.startswith("the model someone/model is not in the cache of the hub (")
    assert remedy == "Fetch it on a machine with internet: cogtui fetch someone/model"
    found = fetch_model("someone/model", None, lambda line: None)
    assert missing(base("someone/model"), tmp_path) == []
    assert missing(base(f"someone/model@{found.commit}"), tmp_path) == []
    ((_, remedy),) = missing(base("someone/model@v1"), tmp_path)
    assert remedy.endswith("cogtui fetch someone/model@v1")
    (found.folder / "model.safetensors").unlink()
    ((said, _),) = missing(base("someone/model"), tmp_path)
    assert said == "the model someone/model is not complete in the cache of the hub: no model.safetensors"
    elsewhere = base("someone/model", environment={"HF_HUB_CACHE": str(tmp_path / "hub")})
    assert f"({tmp_path / 'hub'})" in missing(elsewhere, tmp_path)[0][0]
    online = base("someone/model", environment={"HF_HUB_OFFLINE": "0"})
    assert missing(online, tmp_path) == []
    assert missing(base("mini-plain"), tmp_path) == []


def test_the_config_alone_is_enough_for_an_estimate(hub: Hub) -> None:
    found = fetch_model("someone/model", None, lambda line: None, config_only=True)
    assert not (found.folder / "model.safetensors").exists()
    assert cached_config("someone/model", None)["hidden_size"] == 2048


def test_jobs_do_not_reach_for_the_hub(tmp_path: Path) -> None:
    def environment(key: str, base: dict[str, str], **variables: str) -> dict[str, str]:
        job = JobRecord(
            key=key, number=1, cluster="local", name="n", submitted=0.0, submitter=None,  # type: ignore[arg-type]
            resources=Resources(environment=variables).model_dump(mode="json"),
        )  # fmt: skip
        return child_environment(job, tmp_path, base)

    assert environment("ppo-1", {})["HF_HUB_OFFLINE"] == "1"
    assert environment("base-1", {"HF_HUB_OFFLINE": "0"})["HF_HUB_OFFLINE"] == "0"
    assert environment("base-1", {}, HF_HUB_OFFLINE="0")["HF_HUB_OFFLINE"] == "0"
    assert "HF_HUB_OFFLINE" not in environment("classify-1", {})  # it may read data sets of the hub


def test_the_commands_say_it(hub: Hub, tmp_path: Path) -> None:
    recipe = tmp_path / "r.toml"
    recipe.write_text(
        'name = "r"\n[stages.problems]\nkind = "problems"\ntrain = 8\ntest = 2\n'
        '[stages.base]\nkind = "base"\nneeds = ["problems"]\npretrained = "someone/model"\n'
        '[stages.ppo]\nkind = "ppo"\nneeds = ["problems", "base"]\n[resources.ppo]\ngpus = 1\n'
    )
    place = ["--workspace", str(tmp_path / "w")]
    planned = cogtui_here("plan", str(recipe), "--cluster", "slurm", *place)
    assert planned.returncode == 0
    assert "base: the model someone/model is not in the cache of the hub" in planned.stderr.replace("\n", " ")
    assert "cogtui fetch someone/model" in planned.stderr
    assert "no account is set for problems, base, ppo" in planned.stderr
    fetched = cogtui_here("fetch", "someone/model", "--json")
    assert json.loads(fetched.stdout)["data"]["commit"] == hub.commit("someone/model")
    again = json.loads(cogtui_here("plan", str(recipe), "--json", *place).stdout)["data"]
    assert not any("model" in each["summary"] for each in again["missing"])
    memory = json.loads(cogtui_here("plan", str(recipe), "--memory", "--gpu-memory", "80", "--json", *place).stdout)
    (ppo,) = [stage for stage in memory["data"]["stages"] if stage["name"] == "ppo"]
    assert ppo["model"] == "someone/model: 3.09 billion parameters"
    assert ppo["fits"] is False
    assert any(line.startswith("resources.ppo.processes=") for line in ppo["advice"])
    assert slurm_notes([base("x", partition="a", account="b")]) == []


def test_a_gpu_that_is_too_small_is_said_before_anything_starts(tmp_path: Path) -> None:
    recipe = tmp_path / "r.toml"
    recipe.write_text(
        'name = "r"\n[stages.problems]\nkind = "problems"\ntrain = 8\ntest = 2\n'
        '[stages.base]\nkind = "base"\nneeds = ["problems"]\npretrained = "Qwen/Qwen2.5-3B"\n'
        '[stages.ppo]\nkind = "ppo"\nneeds = ["problems", "base"]\n'
        '[resources.ppo]\ngpus = 1\ngpu_memory = "24G"\n'
    )
    place = ["--workspace", str(tmp_path / "w")]
    planned = json.loads(cogtui_here("plan", str(recipe), "--json", *place).stdout)["data"]
    (note,) = [each for each in planned["notes"] if each.startswith("ppo needs ")]
    assert note.endswith("GB by the estimate and has 25.8 GB: cogtui plan RECIPE --memory says what to change")
    larger = ["--set", "resources.ppo.gpu_memory=900G"]
    fitting = json.loads(cogtui_here("plan", str(recipe), "--json", *place, *larger).stdout)
    assert fitting["data"]["notes"] == []


def test_a_share_of_vllm_below_its_weights_does_not_fit(tmp_path: Path) -> None:
    """However much room is left beside it; the advice is a larger share."""
    layout = ["--set", "resources.ppo.processes=8", "--set", "resources.ppo.gpus=8", "--only", "ppo"]
    line = ["plan", "paper-qwen-2.5-3b", "--memory", "--gpu-memory", "24", *layout, "--workspace", str(tmp_path)]

    def estimate(*more: str) -> dict[str, Any]:
        stages = json.loads(cogtui_here(*line, "--json", *more).stdout)["data"]["stages"]
        return next(stage for stage in stages if stage["name"] == "ppo")

    found = estimate()
    (vllm,) = [part for part in found["parts"] if part["name"] == "vLLM"]
    assert found["peak_bytes"] < found["limit_bytes"]
    assert vllm["lacks"] > 1e9
    assert found["fits"] is False
    (advice,) = found["advice"]
    assert advice.startswith("stages.ppo.engine.vllm.gpu_memory=0.4: ")
    assert estimate("--set", advice.partition(": ")[0])["fits"] is True
