"""The form of a recipe: every field is there, and what it shows is what `--set` reads back."""

import tomllib
from pathlib import Path
from typing import Any

import pytest

from cogtui.app.launch.draft import LaunchDraft, problems_by_field
from cogtui.app.launch.fields import OPTION_PATHS, entry_text, form_fields
from jobs.planning.plan import make_plan
from jobs.recipe.bundled import bundled_recipes
from jobs.recipe.load import load_recipe
from jobs.recipe.source import read_source
from jobs.workspace import Workspace
from pipelines.errors import InvalidInput

RECIPES = {recipe.name: recipe.path for recipe in bundled_recipes()}


@pytest.mark.parametrize("name", ["smoke", "owm-mini", "two-bases-mini", "paper-owm"])
def test_setting_every_field_to_what_it_shows_changes_nothing(name: str, tmp_path: Path) -> None:
    fields = form_fields(read_source(RECIPES[name]).written)
    overrides = [f"{field.name}={field.recipe}" for field in fields if field.recipe and field.path not in OPTION_PATHS]
    assert len(overrides) > 20
    as_written = make_plan(load_recipe(RECIPES[name]), Workspace(tmp_path)).stages
    as_set = make_plan(load_recipe(RECIPES[name], overrides), Workspace(tmp_path)).stages
    assert [(stage.key, stage.resources) for stage in as_set] == [(stage.key, stage.resources) for stage in as_written]


def test_every_field_says_its_type_and_what_it_is_for() -> None:
    for path in RECIPES.values():
        for field in form_fields(read_source(path).written):
            assert field.type, field
            assert len(field.help.split()) > 1, field.name


def test_a_field_knows_recipe_default_limits_and_choices() -> None:
    fields = {field.name: field for field in form_fields(read_source(RECIPES["smoke"]).written)}
    steps = fields["stages.ppo.steps"]
    assert (steps.section, steps.recipe, steps.default, steps.type) == ("ppo", "20", "250", "whole number, 1 or more")
    assert fields["stages.ppo.critic.learning_rate"].default == "1e-05"  # the table's own default is 1e-06
    assert fields["stages.ppo.algorithm"].choices == ("ppo", "grpo")
    assert fields["stages.ppo.whiten"].choices == ("false", "true")
    assert fields["stages.ppo.lam"].type == "number, 0 to 1"
    assert fields["cluster"].choices == ("local", "slurm")
    assert fields["matrix.condition"].recipe == '["none", "backtracking_verification"]'
    assert fields["stages.priming_data.condition"].recipe == "{condition}"
    assert "stages.ppo.needs" not in fields


VALUES: list[Any] = [
    0, -3, 1.5, 1e-6, True, False, "plain words", "", " padded ", "3", "true", "[1]", "unset", "a\nb", 'say "no"',
    "ü → x", "{seed}", [1, "a", [True]], {"a b": [1.0], "c": {"d": "e"}}, [], {},
]  # fmt: skip


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_a_value_is_read_back_as_it_was(value: Any, tmp_path: Path) -> None:
    path = tmp_path / "r.toml"
    path.write_text("name = 'r'\n[stages.a]\nkind = 'problems'\n")
    text = entry_text(value)
    assert read_source(path, [f"stages.a.x={text}"]).data["stages"]["a"]["x"] == value
    assert "\n" not in text


@pytest.mark.parametrize("text", ["stages = 3", "[stages]\na = 1", "matrix = 2", "[stages.a]\nkind = 'nope'", ""])
def test_a_recipe_that_is_wrong_has_the_fields_that_can_be_read(text: str) -> None:
    assert [field.name for field in form_fields(tomllib.loads(text))][:1] == ["cluster"]


def test_problems_are_told_apart_by_the_field_that_caused_them(tmp_path: Path) -> None:
    draft = LaunchDraft(RECIPES["smoke"]).changed("stages.ppo.steps", "0").changed("stages.ppo.lam", "2")
    with pytest.raises(InvalidInput) as caught:
        make_plan(load_recipe(draft.recipe, draft.overrides), Workspace(tmp_path))
    of_fields, others = problems_by_field(caught.value, draft)
    assert set(of_fields) == {"stages.ppo.steps", "stages.ppo.lam"}
    assert "greater than or equal to 1" in of_fields["stages.ppo.steps"]
    assert others == []


def test_the_command_quotes_for_a_shell_and_names_a_bundled_recipe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("COGTUI_WORKSPACE", raising=False)
    draft = LaunchDraft(RECIPES["smoke"]).changed("seeds", "[1, 2]").changed("cluster", "slurm")
    assert draft.command(Workspace(tmp_path / "cogtui-workspace")) == (
        "cogtui run smoke --set 'seeds=[1, 2]' --cluster slurm --detach"
    )
    mine = LaunchDraft(tmp_path / "my recipe.toml")
    assert mine.command(Workspace(tmp_path / "other")) == "cogtui run 'my recipe.toml' --workspace other --detach"
    assert draft.changed("seeds", None).changed("cluster", "local") == LaunchDraft(RECIPES["smoke"])
