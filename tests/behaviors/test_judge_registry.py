"""The registry of judges: an unknown name is an error, a plug-in is found by its entry point."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import ValidationError

from pipelines.behaviors.judges.registry import JUDGES, check_judge_name, judge_kind, make_judge
from pipelines.behaviors.judges.stage import JudgeConfig
from pipelines.corpus.classify.stage import ClassifyConfig
from pipelines.errors import InvalidInput

_PLUGIN = """
from pipelines.behaviors.judge import JudgeKind, UNJUDGED, JudgedTask, judge_run

class Silent:
    def __init__(self, config):
        self.config = config
        self.run = judge_run("silent")
    def judge(self, tasks, work):
        for task in tasks:
            yield JudgedTask(task, {})

silent = JudgeKind("judges nothing", Silent)
picky = JudgeKind("needs a config", Silent, needs_config=True)
broken = object()
"""


@pytest.fixture
def outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Three judges of an installed package, one of them unusable."""
    (tmp_path / "outside_judges.py").write_text(_PLUGIN)
    info = tmp_path / "outside_judges-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: outside-judges\nVersion: 1.0\n")
    points = "".join(f"{name} = outside_judges:{name}\n" for name in ("silent", "picky", "broken"))
    (info / "entry_points.txt").write_text(f"[cogtui.judges]\n{points}")
    monkeypatch.syspath_prepend(str(tmp_path))
    JUDGES.reload()
    yield
    sys.modules.pop("outside_judges", None)
    JUDGES.reload()


@pytest.mark.parametrize("name", ["ruels", "openai:", "openai", "nobody:gpt", ""])
def test_an_unknown_judge_is_an_error_that_lists_the_judges(name: str) -> None:
    for look_up in (check_judge_name, make_judge):
        with pytest.raises(InvalidInput, match="there is no judge") as caught:
            look_up(name)
        assert "rules" in caught.value.remedy
        assert "openai:MODEL" in caught.value.remedy
    with pytest.raises(ValidationError, match="there is no judge"):
        JudgeConfig(judge=name)
    with pytest.raises(ValidationError, match="there is no judge"):
        ClassifyConfig(judge=name, documents=None)


def test_the_nearest_judge_is_named() -> None:
    with pytest.raises(InvalidInput) as caught:
        make_judge("ruels")
    assert caught.value.remedy.startswith("Did you mean rules?")


@pytest.mark.usefixtures("outside")
def test_a_judge_of_another_package_is_made_with_the_config() -> None:
    config = JudgeConfig(judge="silent")
    judge = make_judge("silent", config)
    assert judge.run.judge == "silent"
    assert getattr(judge, "config", None) is config
    assert judge_kind("silent").behaviors == "four_habits"
    with pytest.raises(InvalidInput, match="needs a config"):
        make_judge("picky")
    assert [(fault.name, fault.package) for fault in JUDGES.faults()] == [("broken", "outside-judges")]


@pytest.mark.usefixtures("outside")
def test_fields_of_llm_judges_are_in_the_key_of_a_judge_that_reads_them() -> None:
    assert "window" not in JudgeConfig(judge="rules").key_fields()
    assert "window" not in JudgeConfig(judge="silent").key_fields()
    assert "window" in JudgeConfig(judge="picky").key_fields()


def test_the_rules_judge_needs_no_search_of_installed_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(group: str) -> None:
        raise AssertionError("searched")

    monkeypatch.setattr("pipelines.plugins.entry_points", refuse)
    assert JudgeConfig(judge="rules").key_fields()["judge"] == "rules"
    assert make_judge(check_judge_name("rules")).run.judge == "rules"
    assert check_judge_name("anthropic:some-model") == "anthropic:some-model"
