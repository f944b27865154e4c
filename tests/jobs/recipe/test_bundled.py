"""Bundled recipes: found by name, described by their comments, shipped in the wheel."""

import json
import tomllib
from pathlib import Path

import pytest

from jobs.recipe import bundled
from jobs.recipe.bundled import bundled_recipes, find_recipe, summarise_recipe
from pipelines.errors import NotFound
from tests.commands import cogtui_here

ROOT = Path(__file__).parents[3]


def test_every_example_is_bundled_and_says_what_it_shows() -> None:
    found = bundled_recipes()
    assert {recipe.path.name for recipe in found} == {path.name for path in (ROOT / "examples").glob("*.toml")}
    assert [recipe.name for recipe in found if not recipe.shows] == []
    assert [recipe.name for recipe in found if len(recipe.shows) > 90] == []
    assert found[0].name == "smoke"
    assert found[0].takes == "90 s on two cores"
    assert {recipe.name: recipe.gpus for recipe in found}["paper-qwen-2.5-3b"] == 4
    assert all(recipe.gpus for recipe in found[-3:])


def test_an_installed_package_has_them_where_they_are_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert wheel["force-include"] == {"examples": "jobs/recipes"}
    installed = tmp_path / "jobs" / "recipes"
    installed.mkdir(parents=True)
    (installed / "smoke.toml").write_text((ROOT / "examples" / "smoke.toml").read_text())
    monkeypatch.setattr(bundled, "_FOLDERS", (installed, tmp_path / "examples"))
    assert [recipe.path for recipe in bundled_recipes()] == [installed / "smoke.toml"]


def test_a_file_has_precedence_over_a_bundled_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "demo").mkdir()  # a folder is no recipe
    assert find_recipe(Path("demo")).name == "demo.toml"
    (tmp_path / "smoke").write_text("name = 'mine'\n")
    assert find_recipe(Path("smoke")) == Path("smoke")
    assert find_recipe(Path("away/smoke")) == Path("away/smoke")
    with pytest.raises(NotFound, match="Did you mean smoke"):
        find_recipe(Path("smoky"))


@pytest.mark.parametrize("text", ["not = [toml", "resources = 3", "[resources]\na = 1\n[resources.b]\ngpus = 'x'", ""])
def test_a_broken_recipe_is_described_all_the_same(tmp_path: Path, text: str) -> None:
    path = tmp_path / "odd.toml"
    path.write_text("# shows: something\n" + text)
    summary = summarise_recipe(path)
    assert (summary.shows, summary.takes, summary.gpus) == ("something", "", 0)


def test_the_command_lists_them_and_run_takes_a_name(tmp_path: Path) -> None:
    listed = cogtui_here("recipes", "--json")
    names = [recipe["name"] for recipe in json.loads(listed.stdout)["data"]]
    assert names == [recipe.name for recipe in bundled_recipes()]
    text = cogtui_here("recipes").stdout
    assert max(map(len, text.splitlines())) <= 80
    assert 'name = "smoke"' in cogtui_here("recipes", "smoke").stdout
    planned = cogtui_here("run", "smoke", "--dry-run", folder=tmp_path)
    assert planned.returncode == 0, planned.stderr
    assert planned.stdout.startswith("smoke: 2 cells")
    wrong = cogtui_here("run", "smok", "--dry-run", folder=tmp_path)
    assert wrong.returncode == 4
    assert "Did you mean smoke?" in wrong.stderr
