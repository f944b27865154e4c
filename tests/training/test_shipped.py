"""Shipped base models: their files are checked, they count by content, and they do what their cards say."""

import shutil
from pathlib import Path

import pytest

from benchmarks.bases import measure
from pipelines.errors import InvalidInput
from pipelines.run import prepare, run_stage
from pipelines.training.core.configs import BaseConfig
from pipelines.training.shipped import SHIPPED_NAMES, shipped_model
from pipelines.training.shipped import models as shipped_models
from tests.training.helpers import problems_folder


@pytest.mark.parametrize("name", SHIPPED_NAMES)
def test_files_are_small_and_those_of_the_card(name: str) -> None:
    model = shipped_model(name)
    folder = model.verified_folder()
    assert {path.name for path in folder.iterdir()} == {*model.sha256, "card.toml"}
    assert sum(path.stat().st_size for path in folder.iterdir()) < 1_000_000


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """A copy of the shipped models that can be damaged."""
    for name in SHIPPED_NAMES:
        shutil.copytree(shipped_model(name).folder, tmp_path / name.replace("-", "_"))
    return tmp_path


def test_a_changed_a_missing_and_an_unreadable_file_are_named(copied: Path) -> None:
    model = shipped_model("mini-plain", copied)
    weights = copied / "mini_plain" / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    with pytest.raises(InvalidInput, match=r"model\.safetensors of the shipped model mini-plain differs from its card"):
        model.verified_folder()
    weights.unlink()
    with pytest.raises(InvalidInput, match=r"model\.safetensors of the shipped model mini-plain is missing"):
        model.verified_folder()


def test_a_card_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "mini_plain").mkdir()
    (tmp_path / "mini_plain" / "card.toml").write_text("summary = ")
    with pytest.raises(InvalidInput, match="the card of the shipped model mini-plain cannot be read"):
        shipped_model("mini-plain", tmp_path)


def test_an_unknown_name_lists_the_shipped_ones() -> None:
    with pytest.raises(InvalidInput) as caught:
        shipped_model("mini-plane")
    assert "mini-plain" in caught.value.remedy


def test_a_shipped_model_is_in_the_key_by_its_content(monkeypatch: pytest.MonkeyPatch, copied: Path) -> None:
    config = BaseConfig(pretrained="mini-plain")
    key = config.key_fields()["pretrained"]
    assert key == f"mini-plain@{shipped_model('mini-plain').digest}"
    card = copied / "mini_plain" / "card.toml"
    digest = shipped_model("mini-plain").sha256["model.safetensors"]
    card.write_text(card.read_text().replace(digest, "0" * 64))
    other = shipped_model("mini-plain", copied)
    monkeypatch.setattr("pipelines.training.core.configs.shipped_model", lambda name: other)
    assert config.key_fields()["pretrained"] != key
    assert BaseConfig(pretrained="./mini-plain").key_fields()["pretrained"] == "./mini-plain"


@pytest.mark.train
def test_a_base_stage_refuses_a_damaged_shipped_model(
    monkeypatch: pytest.MonkeyPatch, copied: Path, tmp_path: Path
) -> None:
    (copied / "mini_plain" / "tokenizer.json").write_text("{}")
    monkeypatch.setattr(shipped_models, "_FOLDER", copied)
    monkeypatch.setattr(
        "pipelines.training.stages.base.shipped_model", lambda name: shipped_model(name, shipped_models._FOLDER)
    )
    problems = problems_folder(tmp_path / "problems")
    stage = prepare("base", {"pretrained": "mini-plain"}, tmp_path / "base", [problems], base=tmp_path)
    with pytest.raises(InvalidInput, match=r"tokenizer\.json of the shipped model mini-plain differs"):
        run_stage(stage)
    assert not (tmp_path / "base" / "result.json").exists()


@pytest.mark.train
@pytest.mark.slow
@pytest.mark.parametrize("name", SHIPPED_NAMES)
def test_a_shipped_model_does_what_its_card_says(name: str) -> None:
    figures = shipped_model(name).figures
    found = measure(name, samples=2)
    assert found["accuracy"] == pytest.approx(figures["accuracy"], abs=0.06)
    assert found["tokens"] == pytest.approx(figures["tokens"], rel=0.2)
    for behavior in ("verification", "backtracking", "subgoal", "backward_chaining"):
        key = f"{behavior}_per_completion"
        assert found[key] == pytest.approx(figures[key], abs=0.15 + 0.3 * figures[key])
