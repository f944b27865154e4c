"""What is reused, and why the rest is not."""

from pathlib import Path

import pytest

from jobs.planning.plan import make_plan, materialise
from jobs.planning.types import RecipePlan, Reuse
from pipelines.errors import InvalidInput
from pipelines.files import write_json
from tests.jobs.planning.recipes import RECIPE, changed, plan, recipe, workspace


def finish(found: RecipePlan, folder: Path, *names: str) -> None:
    """Gives the stages of these names (all by default) a result."""
    materialise(found, workspace(folder))
    for stage in found.stages:
        if not names or stage.name in names:
            workspace(folder).folder(stage.key).write_result({"n": 1})


def reuse(found: RecipePlan, name: str) -> Reuse:
    return next(found.reuse[stage.key] for stage in found.stages if stage.name == name)


def test_in_an_empty_workspace_everything_is_new(tmp_path: Path) -> None:
    found = plan(tmp_path)
    assert {entry.status for entry in found.reuse.values()} == {"new"}
    assert reuse(found, "ppo").reason("ppo") == "no ppo stage is finished"
    assert not (tmp_path / "ws").exists()


def test_what_is_finished_is_reused(tmp_path: Path) -> None:
    finish(plan(tmp_path), tmp_path)
    found = plan(tmp_path)
    assert {entry.status for entry in found.reuse.values()} == {"reused"}
    assert reuse(found, "base").reason("base") == "its result is there"


def test_a_changed_field_is_named_with_both_values(tmp_path: Path) -> None:
    before = plan(tmp_path)
    finish(before, tmp_path)
    found = plan(tmp_path, changed("actor.learning_rate = 1e-4", "actor.learning_rate = 2e-4"))
    entry = reuse(found, "ppo")
    nearest = next(stage.key for stage in before.stages if stage.title == "ppo condition=none seed=1")
    assert entry.status == "new"
    assert entry.nearest == nearest
    assert entry.reason("ppo") == f"nearest is {nearest}: actor.learning_rate is 0.0002, there 0.0001"


def test_a_change_upstream_is_named_by_the_input(tmp_path: Path) -> None:
    before = plan(tmp_path)
    finish(before, tmp_path)
    found = plan(tmp_path, changed("train = 20", "train = 21"))
    assert [str(difference) for difference in reuse(found, "problems").differences] == ["train is 21, there 20"]
    assert [str(difference) for difference in reuse(found, "base").differences] == [
        f"input problems is {found.stages[0].key}, there {before.stages[0].key}"
    ]


def test_the_nearest_differs_in_the_fewest_fields(tmp_path: Path) -> None:
    finish(plan(tmp_path, overrides=("stages.problems.train=30", "stages.problems.test=7")), tmp_path, "problems")
    near = plan(tmp_path, overrides=("stages.problems.train=40",))
    finish(near, tmp_path, "problems")
    entry = reuse(plan(tmp_path), "problems")
    assert entry.nearest == near.stages[0].key
    assert [difference.field for difference in entry.differences] == ["train"]


def test_fields_outside_the_key_are_no_reason(tmp_path: Path) -> None:
    finish(plan(tmp_path), tmp_path)
    found = plan(tmp_path, overrides=("stages.ppo.keep_checkpoints=9",))
    assert reuse(found, "ppo").status == "reused"


def test_begun_but_not_finished_is_neither_new_nor_reused(tmp_path: Path) -> None:
    first = plan(tmp_path)
    finish(first, tmp_path, "problems")
    folder = workspace(tmp_path).folder(first.stages[1].key)
    (folder.path / "attempts" / "001").mkdir(parents=True)
    assert [reuse(plan(tmp_path), name).status for name in ("problems", "base", "ppo")] == ["reused", "started", "new"]


def test_a_finished_stage_of_an_older_config_is_still_compared(tmp_path: Path) -> None:
    old = plan(tmp_path)
    finish(old, tmp_path, "problems")
    path = workspace(tmp_path).folder(old.stages[0].key).path / "stage.json"
    info = workspace(tmp_path).folder(old.stages[0].key).info()
    config = {**info.config, "invented": 3}
    write_json(path, info.model_copy(update={"config": config}).model_dump(mode="json"))
    entry = reuse(plan(tmp_path, overrides=("stages.problems.train=40",)), "problems")
    assert {str(difference) for difference in entry.differences} == {
        "train is 40, there 20",
        "invented is —, there 3",
    }


def test_a_damaged_result_is_named(tmp_path: Path) -> None:
    found = plan(tmp_path)
    finish(found, tmp_path)
    path = workspace(tmp_path).folder(found.stages[0].key).path / "result.json"
    path.write_text('{"n": ')
    with pytest.raises(InvalidInput, match=rf"{path} is not valid JSON"):
        plan(tmp_path)


def test_a_damaged_stage_elsewhere_does_not_stop_a_plan(tmp_path: Path) -> None:
    found = plan(tmp_path)
    finish(found, tmp_path)
    (workspace(tmp_path).folder(found.stages[0].key).path / "stage.json").write_text("{}")
    other = make_plan(recipe(tmp_path, RECIPE, ("stages.problems.train=40",)), workspace(tmp_path))
    assert reuse(other, "problems").nearest is None
