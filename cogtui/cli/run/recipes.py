"""`cogtui recipes`: the recipes that come with the package."""

from pathlib import Path
from typing import Annotated

import typer

from cogtui.cli.console.layout import prose_width, wrap_words
from cogtui.cli.console.options import JsonOption
from cogtui.cli.console.output import emit, emit_json, emit_wrapped


def register(app: typer.Typer) -> None:
    """Add the command `recipes`."""
    app.command("recipes", help="List the recipes that come with cogtui, or print one.")(recipes)


def recipes(
    name: Annotated[str | None, typer.Argument(help="Print the text of this recipe.", metavar="NAME")] = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """List the bundled recipes, the fastest first."""
    from jobs.recipe.bundled import bundled_recipes, find_recipe, summarise_recipe

    if name is not None:
        found = [summarise_recipe(find_recipe(Path(name)))]
        if not as_json:
            emit(found[0].path.read_text("utf-8").rstrip("\n"))
            return
    else:
        found = bundled_recipes()
    if as_json:
        emit_json(
            [
                {
                    "name": recipe.name,
                    "path": str(recipe.path),
                    "shows": recipe.shows,
                    "takes": recipe.takes or None,
                    "gpus": recipe.gpus,
                }
                for recipe in found
            ]
        )
        return
    width = 2 + max((len(recipe.name) for recipe in found), default=0)
    for recipe in found:
        gpus = f"{recipe.gpus} GPUs a node" if recipe.gpus else ""
        emit_wrapped(f"{recipe.name:<{width}}{'; '.join(filter(None, (recipe.takes, gpus)))}".rstrip(), "  ")
        for line in wrap_words(f"  {recipe.shows}", prose_width()):
            emit(line)
    emit()
    emit_wrapped("Run one with: cogtui run NAME    Print one with: cogtui recipes NAME")
