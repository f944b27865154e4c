"""`cogtui models`: the base models that come with the package."""

from typing import Annotated

import typer

from cogtui.cli.console.layout import prose_width, wrap_words
from cogtui.cli.console.options import JsonOption
from cogtui.cli.console.output import emit, emit_json, emit_wrapped


def register(app: typer.Typer) -> None:
    """Add the command `models`."""
    app.command("models", help="List the base models that come with cogtui, or show the card of one.")(models)


def models(
    name: Annotated[str | None, typer.Argument(help="Show the card of this model.", metavar="NAME")] = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """List the shipped base models, checking their files."""
    from pipelines.training.shipped import SHIPPED_NAMES, shipped_model

    found = [shipped_model(each) for each in ([name] if name else SHIPPED_NAMES)]
    for model in found:
        model.verified_folder()
    if as_json:
        emit_json(
            [
                {
                    "name": model.name,
                    "summary": model.summary,
                    "parameters": model.parameters,
                    "recipe": model.recipe,
                    "stage": model.stage,
                    "figures": dict(model.figures),
                    "digest": model.digest,
                    "folder": str(model.folder),
                }
                for model in found
            ]
        )
        return
    for index, model in enumerate(found):
        if index:
            emit()
        emit(f"{model.name}  {model.parameters:,} parameters")
        for line in wrap_words(f"  {model.summary}", prose_width()):
            emit(line)
        if name:
            for figure, value in model.figures.items():
                emit(f"    {figure.replace('_', ' '):<32} {value:g}")
            emit_wrapped(f"  made by    {model.recipe}, stage {model.stage}", "           ")
        emit(f'  use it as  base.pretrained = "{model.name}"')
