"""Makes a plan: the graph of stage instances of a recipe, each with its content key (docs/recipes.md)."""

from jobs.planning.builder import PlanBuilder
from jobs.planning.cell import Cell
from jobs.planning.materialize import materialise
from jobs.planning.reuse import find_reuse
from jobs.planning.types import ConfigDifference, RecipePlan, Reuse, StageInstance
from jobs.recipe.labels import Label, label_text
from jobs.recipe.load import Recipe
from jobs.recipe.resources import Resources
from jobs.workspace import Workspace

__all__ = [
    "Cell",
    "ConfigDifference",
    "Label",
    "RecipePlan",
    "Resources",
    "Reuse",
    "StageInstance",
    "find_reuse",
    "label_text",
    "make_plan",
    "materialise",
]


def make_plan(recipe: Recipe, workspace: Workspace) -> RecipePlan:
    """Expand a recipe over its matrix and look up finished stages in the workspace.

    It writes nothing. Content keys do not depend on the workspace.

    Raises:
        InvalidInput: a config value or a stage's needs are wrong; names the lines of the recipe.
    """
    stages, cells = PlanBuilder(recipe).build()
    return RecipePlan(
        name=recipe.name,
        recipe_path=recipe.path.absolute(),
        recipe_text=recipe.text,
        overrides=recipe.source.overrides,
        stages=stages,
        cells=cells,
        reuse=find_reuse(stages, workspace),
    )
