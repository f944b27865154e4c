"""Changes to the settings and resources of a stage that is started again: `FIELD=VALUE` of `cogtui retry --set`."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, Final

from pydantic import ValidationError

from jobs.planning.types import StageInstance
from jobs.recipe.resources import Resources
from jobs.recipe.source import parse_assignment, suggest
from pipelines.errors import InvalidInput
from pipelines.stages.builtin import IMPORT, find_kind
from pipelines.stages.configs import StageConfig
from pipelines.stages.settings import setting_paths, settings_of, with_settings

_RESOURCES: Final = "resources."


def change_stages(stages: Sequence[StageInstance], changes: Sequence[str]) -> dict[str, StageInstance]:
    """Return the stages with their changed settings and resources, by key.

    Raises:
        InvalidInput: a change is not of the form FIELD=VALUE, no stage has the field as a setting, or its value is
            wrong.
    """
    changed = {stage.key: stage for stage in stages}
    for text in changes:
        name, value = parse_assignment(text, "micro_batch=8")
        if name.startswith(_RESOURCES):
            found = {key: _with_resource(stage, name, value, text) for key, stage in changed.items()}
        else:
            found = {key: new for key, stage in changed.items() if (new := _with_setting(stage, name, value, text))}
            if not found:
                raise _no_setting(name, text, changed.values())
        changed |= found
    return changed


def _model(stage: StageInstance) -> type[StageConfig] | None:
    kind = find_kind(stage.kind)
    return None if kind is None or kind is IMPORT else kind.config_model()


def _with_setting(stage: StageInstance, name: str, value: Any, text: str) -> StageInstance | None:
    """Return a stage with one setting changed; None if its kind has no such setting."""
    model = _model(stage)
    if model is None:  # of a kind that only the stage's own Python has: that checks it
        return replace(stage, settings={**(stage.settings or {}), name: value})
    if tuple(name.split(".")) not in setting_paths(model):
        return None
    before = settings_of(model, stage.config) if stage.settings is None else stage.settings
    try:
        whole = model.model_validate(with_settings(model, stage.config, {**before, name: value}))
    except ValidationError as error:
        raise InvalidInput(f"--set {text}: {_first(error)}", remedy="Choose another value.") from error
    return replace(stage, settings=settings_of(model, whole.model_dump(mode="json")))


def _with_resource(stage: StageInstance, name: str, value: Any, text: str) -> StageInstance:
    field = name.removeprefix(_RESOURCES)
    if field not in Resources.model_fields:
        raise InvalidInput(
            f"--set {text}: there is no resource {field!r}", remedy=suggest(field, Resources.model_fields, "Resources")
        )
    try:
        resources = Resources.model_validate({**stage.resources.model_dump(mode="json"), field: value})
    except ValidationError as error:
        raise InvalidInput(f"--set {text}: {_first(error)}", remedy="Choose another value.") from error
    return replace(stage, resources=resources)


def _no_setting(name: str, text: str, stages: Iterable[StageInstance]) -> InvalidInput:
    models = {stage.kind: model for stage in stages if (model := _model(stage)) is not None}
    known = sorted({".".join(path) for model in models.values() for path in setting_paths(model)})
    first = name.partition(".")[0]
    if any(first in model.model_fields for model in models.values()) and name not in known:
        return InvalidInput(
            f"--set {text}: with another {name} it is another stage, which cannot continue this one",
            remedy=f"Change the recipe and run it. What a retry can change: {', '.join(known)}, resources.FIELD.",
        )
    return InvalidInput(
        f"--set {text}: no setting of {', '.join(models) or 'these stages'} has that name",
        remedy=suggest(name, [*known, "resources.FIELD"], "Settings"),
    )


def _first(error: ValidationError) -> str:
    item = error.errors()[0]
    return f"{'.'.join(map(str, item['loc']))}: {item['msg']}".removeprefix(": ")
