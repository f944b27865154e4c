"""Cells, shared instances, skip, labels and keys."""

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from jobs.planning.cell import Cell
from jobs.planning.types import RecipePlan
from pipelines.stages import content_key, stage_kind
from pipelines.tasks.registry import TASKS
from tests.jobs.planning.recipes import RECIPE, changed, plan


def by_name(found: RecipePlan, name: str) -> list[str]:
    return [stage.title for stage in found.stages if stage.name == name]


def ppo_config(found: RecipePlan) -> dict[str, Any]:
    return next(stage.config for stage in found.stages if stage.name == "ppo")


def test_cells_share_what_does_not_depend_on_them(tmp_path: Path) -> None:
    found = plan(tmp_path)
    assert [cell.title for cell in found.cells] == [
        "condition=none seed=1",
        "condition=none seed=2",
        "condition=backtracking_verification seed=1",
        "condition=backtracking_verification seed=2",
    ]
    assert by_name(found, "problems") == ["problems"]
    assert by_name(found, "base") == ["base"]
    assert by_name(found, "data") == ["data condition=backtracking_verification"]
    assert by_name(found, "prime") == ["prime condition=backtracking_verification"]
    assert by_name(found, "ppo") == [f"ppo {cell.title}" for cell in found.cells]
    assert {stage.name: stage.cells for stage in found.stages if stage.name in ("base", "prime")} == {
        "base": (0, 1, 2, 3),
        "prime": (2, 3),
    }
    assert len({stage.key for stage in found.stages}) == len(found.stages) == 12


def test_each_comes_after_what_it_needs(tmp_path: Path) -> None:
    # written upside down: the order of the file does not matter
    head, *tables = RECIPE.split("[stages.")
    found = plan(tmp_path, head + "".join(f"[stages.{table}" for table in reversed(tables)))
    seen: set[str] = set()
    for stage in found.stages:
        assert set(stage.inputs) <= seen
        seen.add(stage.key)


def test_the_place_of_a_skipped_stage_is_taken_by_what_it_needs(tmp_path: Path) -> None:
    found = plan(tmp_path)
    unprimed, primed = found.cells[0].stages, found.cells[2].stages
    assert list(unprimed) == ["problems", "base", "ppo", "judge"]
    assert list(primed) == ["problems", "base", "data", "prime", "ppo", "judge"]
    assert set(found.instance(unprimed["ppo"]).inputs) == {unprimed["problems"], unprimed["base"]}
    assert set(found.instance(primed["ppo"]).inputs) == {primed["problems"], primed["prime"]}


def test_what_is_inherited_past_two_skipped_stages(tmp_path: Path) -> None:
    text = changed('needs = ["problems", "prime"]', 'needs = ["problems", "again"]') + (
        '[stages.again]\nkind = "prime"\nneeds = ["prime", "data"]\nskip = { condition = "none" }\n'
    )
    cell = plan(tmp_path, text).cells[0].stages
    assert list(cell) == ["problems", "base", "ppo", "judge"]


def test_labels_are_what_the_key_depends_on(tmp_path: Path) -> None:
    found = plan(tmp_path, changed('seed = "{seed}"', "seed = 5"))
    # the seed no longer reaches anything: both seeds share every instance
    assert by_name(found, "ppo") == ["ppo condition=none", "ppo condition=backtracking_verification"]
    assert [stage.cells for stage in found.stages if stage.name == "ppo"] == [(0, 1), (2, 3)]
    seeded = plan(tmp_path, changed("train = 20", 'train = 20\nseed = "{seed}"'))
    assert by_name(seeded, "base") == ["base seed=1", "base seed=2"]


def test_labels_that_two_sharing_cells_do_not_agree_on_are_dropped(tmp_path: Path) -> None:
    text = changed('["none", "backtracking_verification"]', '["none", "dots", "empty_cot"]').replace(
        'skip = { condition = ["none"] }', 'skip = { condition = ["none", "dots"] }'
    )
    found = plan(tmp_path, text)
    titles = [stage.title for stage in found.stages if stage.name == "ppo"]
    assert titles == ["ppo seed=1", "ppo seed=2", "ppo condition=empty_cot seed=1", "ppo condition=empty_cot seed=2"]


def test_keys_are_content_keys_over_validated_configs(tmp_path: Path) -> None:
    found = plan(tmp_path)
    for stage in found.stages:
        config = stage_kind(stage.kind).config_model().model_validate(json.loads(json.dumps(stage.config)))
        assert stage.key == content_key(stage.kind, config, stage.inputs)


def test_resources_and_names_are_no_part_of_a_key(tmp_path: Path) -> None:
    renamed = RECIPE.replace("[stages.ppo]", "[stages.learn]").replace('"ppo"]', '"learn"]')
    resourced = renamed + (
        '[resources.learn]\ngpus = 4\ntime = "1-02:00:30"\n'
        '[resources.default]\npartition = "cpu"\ngpus = 1\naccount = "lab"\n'
    )
    found = plan(tmp_path, resourced)
    assert {stage.key for stage in found.stages} == {stage.key for stage in plan(tmp_path).stages}
    learn = next(stage for stage in found.stages if stage.name == "learn")
    base = next(stage for stage in found.stages if stage.name == "base")
    assert (learn.resources.gpus, learn.resources.minutes, learn.resources.account) == (4, 1561, "lab")
    assert (base.resources.gpus, base.resources.minutes, base.resources.account) == (1, None, "lab")


def test_two_stages_that_are_the_same_thing_are_one_instance(tmp_path: Path) -> None:
    found = plan(tmp_path, RECIPE + '[stages.again]\nkind = "judge"\nneeds = ["ppo"]\n')
    for cell in found.cells:
        assert cell.stages["judge"] == cell.stages["again"]


def test_a_set_changes_the_key_of_a_stage_and_of_what_follows(tmp_path: Path) -> None:
    before, after = plan(tmp_path), plan(tmp_path, overrides=("stages.ppo.steps=21",))
    moved = {stage.name for stage in after.stages} - {
        stage.name for stage in after.stages if stage.key in {other.key for other in before.stages}
    }
    assert moved == {"ppo", "judge"}
    assert after.overrides == ("stages.ppo.steps=21",)


@pytest.mark.parametrize(
    ("override", "read"),
    [
        ("stages.ppo.steps=7", lambda found: ppo_config(found)["steps"] == 7),
        ("stages.ppo.actor.learning_rate=1", lambda found: ppo_config(found)["actor"]["learning_rate"] == 1.0),
        ("stages.ppo.device = cpu", lambda found: ppo_config(found)["device"] == "cpu"),
        ('stages.ppo.device="cuda"', lambda found: ppo_config(found)["device"] == "cuda"),
        ("seeds=[4]", lambda found: {cell.labels["seed"] for cell in found.cells} == {4}),
        ('matrix.condition=["none"]', lambda found: len(found.cells) == 2),
        ("name=other", lambda found: found.name == "other"),
        ("resources.default.partition=cpu", lambda found: found.stages[0].resources.partition == "cpu"),
    ],
)
def test_sets(tmp_path: Path, override: str, read: Callable[[RecipePlan], bool]) -> None:
    assert read(plan(tmp_path, overrides=(override,)))


def test_a_recipe_without_matrix(tmp_path: Path) -> None:
    found = plan(tmp_path, 'name = "one"\n[stages.problems]\nkind = "problems"\n')
    assert found.cells == (Cell(labels={}, stages={"problems": found.stages[0].key}),)
    assert found.cells[0].title == "all"


def test_a_file_beside_the_recipe_counts_by_content(tmp_path: Path) -> None:
    text = changed("train = 20", 'train = 20\ntemplate_file = "prompt.txt"')
    (tmp_path / "prompt.txt").write_text("Use {numbers} to make {target}.")
    first = plan(tmp_path, text).stages[0]
    assert first.config["template_file"]["path"] == str(tmp_path / "prompt.txt")
    (tmp_path / "prompt.txt").write_text("Make {target} of {numbers}.")
    assert plan(tmp_path, text).stages[0].key != first.key


@pytest.mark.parametrize(("task", "judge"), [("countdown", "rules"), ("riddles", "prose")])
def test_a_judge_stage_that_names_no_judge_has_the_one_of_its_task(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, task: str, judge: str
) -> None:
    riddles = SimpleNamespace(name="riddles", problems=len, prompt=str, score=max, describe=str)  # no rules context
    monkeypatch.setitem(TASKS._builtin, "riddles", riddles)
    recipe = changed("train = 20", f'train = 20\ntask = "{task}"')
    config = next(stage.config for stage in plan(tmp_path, recipe).stages if stage.name == "judge")
    assert config["judge"] == judge
    named = changed('needs = ["ppo"]', 'needs = ["ppo"]\njudge = "rules"', recipe)
    config = next(stage.config for stage in plan(tmp_path, named).stages if stage.name == "judge")
    assert config["judge"] == "rules"
