"""Which recipe to launch: a bundled one, one that was run here, or a file."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from jobs.planning.experiments import Experiment
from jobs.recipe.bundled import bundled_recipes


class RecipeOption(NamedTuple):
    """One line of the choice; with neither recipe nor experiment it asks for a file."""

    label: str
    recipe: Path | None = None
    experiment: Experiment | None = None


def recipe_options(experiments: Sequence[Experiment]) -> list[RecipeOption]:
    """Return the recipes to choose from: bundled, files that were run here, clones of experiments, any file."""
    bundled = bundled_recipes()
    options = [
        RecipeOption(f"{recipe.name:<24} {recipe.takes or (f'{recipe.gpus} GPUs' if recipe.gpus else '')}", recipe.path)
        for recipe in bundled
    ]
    known = {recipe.path for recipe in bundled}
    for experiment in experiments:
        path = Path(experiment.recipe_path)
        if path not in known and path.is_file():
            known.add(path)
            options.append(RecipeOption(f"{path.stem:<24} {path}", path))
    options += [RecipeOption(f"clone of {one.name}, with its changes", experiment=one) for one in experiments]
    return [*options, RecipeOption("a file …")]
