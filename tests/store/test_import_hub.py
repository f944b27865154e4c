"""Data sets of the Hugging Face hub, from a server on the loopback interface that speaks its protocol."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from cogtui.store.importing import hub as importing_hub
from cogtui.store.importing.hub import fetch_hub_paths, read_hub_path
from cogtui.store.importing.plan import plan_import
from pipelines.errors import InvalidInput, MissingRequirement, NotFound
from tests.loopback.hub import GATED, Hub, serve_hub
from tests.store.test_import_evaluations import read_plan

pytest.importorskip("huggingface_hub")


def rows(*texts: str) -> bytes:
    return "".join(json.dumps({"prompt": "6 + 7?", "completion": text}) + "\n" for text in texts).encode()


SETS = {
    "someone/sums": {
        "README.md": b"# Sums\n", "data/train-0.jsonl": rows("It is 13.", "It is 14."),
        "data/step [1].jsonl": rows("13"), "other/test.jsonl": rows("15"),
    },
    "someone/pictures": {"README.md": b"", "a.png": b"\x89PNG"},
}  # fmt: skip


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("HF_TOKEN", raising=False)
    with serve_hub(SETS) as served:
        monkeypatch.setenv("HF_ENDPOINT", served.url)
        yield served


def completions(name: str) -> list[str]:
    rollouts, problems = read_plan(plan_import(fetch_hub_paths([Path(name)])))
    assert problems == []
    return sorted(rollout.completion for rollout in rollouts)


def test_a_data_set_a_folder_and_a_file_of_the_hub(hub: Hub) -> None:
    lines: list[str] = []
    (folder,) = fetch_hub_paths([Path("hf://datasets/someone/sums/data")], lines.append)
    assert sorted(path.name for path in folder.iterdir()) == ["step [1].jsonl", "train-0.jsonl"]
    assert lines == [f"hf://datasets/someone/sums/data: 2 files at {hub.commit('someone/sums')[:12]}"]
    assert completions("hf://datasets/someone/sums/data") == ["13", "It is 13.", "It is 14."]
    assert completions("hf://someone/sums/other/test.jsonl") == ["15"]
    assert not any("README" in request for request in hub.requests)
    assert completions("hf://datasets/someone/sums@main") == ["13", "15", "It is 13.", "It is 14."]


def test_what_was_fetched_is_read_without_the_hub(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    assert completions("hf://someone/sums/other") == ["15"]
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:1")
    assert completions("hf://someone/sums/other") == ["15"]
    with pytest.raises(MissingRequirement, match=r"cannot fetch hf://datasets/someone/else from http://127\.0\.0\.1:1"):
        fetch_hub_paths([Path("hf://someone/else")])


@pytest.mark.parametrize(
    ("name", "error", "said"),
    [
        ("hf://datasets/someone/nothing", NotFound, "no data set someone/nothing on the hub, or it is private"),
        ("hf://datasets/someone/sums@v9", NotFound, "no revision v9 of someone/sums"),
        ("hf://datasets/someone/sums/more", NotFound, "no file or folder more in someone/sums"),
        ("hf://datasets/someone/pictures", NotFound, "no file of rows in someone/pictures"),
        (f"hf://datasets/{GATED}", InvalidInput, "can be read by those only who accepted its terms"),
        ("hf://models/someone/model", InvalidInput, "names no data set"),
        ("hf://datasets/someone", InvalidInput, "names no data set"),
    ],
)
@pytest.mark.usefixtures("hub")
def test_what_cannot_be_fetched_is_explained(name: str, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        fetch_hub_paths([Path(name)])


@pytest.mark.usefixtures("hub")
def test_a_set_that_is_too_large_names_a_smaller_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importing_hub, "_MAX_BYTES", 100)
    with pytest.raises(InvalidInput, match=r"sums has 3 files") as caught:
        fetch_hub_paths([Path("hf://someone/sums")])
    assert "hf://datasets/someone/sums/data/train-0.jsonl" in caught.value.remedy


def test_paths_of_this_machine_are_left_alone(tmp_path: Path) -> None:
    assert read_hub_path(tmp_path / "hf:" / "a") is None
    assert fetch_hub_paths([tmp_path]) == [tmp_path]
