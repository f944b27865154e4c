"""A small recipe that tests bend, and helpers around it."""

from pathlib import Path

from jobs.planning.plan import RecipePlan, make_plan
from jobs.recipe.load import Recipe, load_recipe
from jobs.workspace import Workspace

RECIPE = """\
name = "tiny"
seeds = [1, 2]

[matrix]
condition = ["none", "backtracking_verification"]

[stages.problems]
kind = "problems"
train = 20

[stages.base]
kind = "base"
needs = ["problems"]

[stages.data]
kind = "priming_data"
needs = ["problems"]
skip = { condition = ["none"] }
condition = "{condition}"

[stages.prime]
kind = "prime"
needs = ["base", "data"]
skip = { condition = ["none"] }

[stages.ppo]
kind = "ppo"
needs = ["problems", "prime"]
seed = "{seed}"
steps = 20
actor.learning_rate = 1e-4

[stages.judge]
kind = "judge"
needs = ["ppo"]
"""


def write(folder: Path, text: str = RECIPE, name: str = "tiny.toml") -> Path:
    """Writes a recipe and returns its path."""
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def changed(old: str, new: str, text: str = RECIPE) -> str:
    """The recipe with one place changed."""
    assert text.count(old) == 1, f"{old!r} is there {text.count(old)} times"
    return text.replace(old, new)


def line_of(text: str, fragment: str) -> int:
    """The line on which a fragment stands first."""
    return text[: text.index(fragment)].count("\n") + 1


def recipe(folder: Path, text: str = RECIPE, overrides: tuple[str, ...] = ()) -> Recipe:
    """The recipe, read."""
    return load_recipe(write(folder, text), overrides)


def plan(folder: Path, text: str = RECIPE, overrides: tuple[str, ...] = ()) -> RecipePlan:
    """The plan of a recipe in the workspace `folder / "ws"`."""
    return make_plan(recipe(folder, text, overrides), workspace(folder))


def workspace(folder: Path) -> Workspace:
    """The workspace the tests plan in."""
    return Workspace(folder / "ws")
