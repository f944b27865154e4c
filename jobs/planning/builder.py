"""Expands matrix × stages into instances, shared between cells where they are equal."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from jobs.planning.cell import Cell
from jobs.planning.types import StageInstance
from jobs.recipe.interpolation import interpolate, placeholders
from jobs.recipe.labels import Label, label_text
from jobs.recipe.load import Recipe
from jobs.recipe.matrix import is_same_label
from jobs.recipe.source import RecipeProblems
from jobs.recipe.stages import RecipeStage
from jobs.recipe.toml_lines import KeyPath
from jobs.recipe.validation import add_validation_problems
from pipelines.behaviors.judges.registry import default_judge
from pipelines.files import canonical_json
from pipelines.stages import StageConfig, Upstream, accepted_kinds, content_key
from pipelines.stages.settings import default_at, settings_of, written_paths
from pipelines.tasks.registry import COUNTDOWN


@dataclass(slots=True)
class _SharedInstance:
    """An instance whose cells are still being collected."""

    stage: RecipeStage
    config: "_CellConfig"
    inputs: tuple[str, ...]
    labels: dict[str, Label]
    cells: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _CellConfig:
    """The config of a stage in a cell, and what of it is in the key and in `stage.json`."""

    model: StageConfig
    planned: dict[str, Any]
    """The full config as `stage.json` keeps it: settings that are part of the key are those of the recipe's file."""
    key_fields: dict[str, Any]
    settings: dict[str, Any]
    """Those of the attempts that this run starts, by dotted path, with any `--set`."""


@dataclass(slots=True)
class _CellStage:
    """A stage in one cell: the key of its instance, and the dimensions the key depends on."""

    key: str
    depends: set[str]


class PlanBuilder:
    """Builds instances and cells of a recipe. Use one builder once."""

    def __init__(self, recipe: Recipe) -> None:
        self._recipe = recipe
        self._problems = RecipeProblems(recipe.source)
        self._shared: dict[str, _SharedInstance] = {}
        self._configs: dict[tuple[str, str], _CellConfig | None] = {}

    def build(self) -> tuple[tuple[StageInstance, ...], tuple[Cell, ...]]:
        """Return instances in dependency order, and the cells.

        Raises:
            InvalidInput: names file and line of every wrong config value and need.
        """
        cells = [self._cell(index, labels) for index, labels in enumerate(self._recipe.cells)]
        self._problems.raise_if_any()
        order = {name: place for place, name in enumerate(self._recipe.stages)}
        # By stage, then by cell: instances of one stage are adjacent, each after its inputs.
        shared = sorted(self._shared.items(), key=lambda item: (order[item[1].stage.name], item[1].cells[0]))
        return tuple(_instance(key, item) for key, item in shared), tuple(cells)

    def _cell(self, index: int, labels: dict[str, Label]) -> Cell:
        here: dict[str, _CellStage] = {}
        for stage in self._recipe.stages.values():
            if stage.skipped(labels):
                continue
            needs = self._needs(stage, labels)
            config = self._config(stage, labels, needs)
            self._check_needs(stage, needs, labels)
            if config is None or any(need not in here for need in needs):
                continue  # the problem is noted already, here or upstream
            depends = set(placeholders(stage.config)) | self._skip_dimensions(stage, labels)
            depends.update(*(here[need].depends for need in needs))
            inputs = tuple(sorted({here[need].key for need in needs}))
            key = content_key(stage.kind.name, config.model, inputs, fields=config.key_fields)
            here[stage.name] = _CellStage(key, depends)
            mine = {name: value for name, value in labels.items() if name in depends}
            shared = self._shared.setdefault(key, _SharedInstance(stage, config, inputs, mine))
            shared.labels = _agreed(shared.labels, mine)
            if index not in shared.cells:
                shared.cells.append(index)
        return Cell(labels=labels, stages={name: found.key for name, found in here.items()})

    def _config(self, stage: RecipeStage, labels: Mapping[str, Label], needs: Sequence[str]) -> _CellConfig | None:
        """Return the validated config in a cell, cached by filled-in text; None if it is invalid."""
        filled = interpolate(stage.config, labels)
        if stage.kind.name == "judge" and "judge" not in filled and (task := self._task(needs, labels)) is not None:
            filled["judge"] = default_judge(task)
        cached = (stage.name, repr(filled))
        if cached not in self._configs:
            self._configs[cached] = self._validated(stage, filled, labels)
        return self._configs[cached]

    def _task(self, needs: Sequence[str], labels: Mapping[str, Label]) -> str | None:
        """Return the task of the nearest `problems` stage upstream, or None."""
        for need in needs:
            stage = self._recipe.stages[need]
            if stage.kind.name == "problems":
                return str(interpolate(stage.config, labels).get("task", COUNTDOWN))
        for need in needs:
            task = self._task(self._needs(self._recipe.stages[need], labels), labels)
            if task is not None:
                return task
        return None

    def _validated(self, stage: RecipeStage, filled: dict[str, Any], labels: Mapping[str, Label]) -> _CellConfig | None:
        model = stage.kind.config_model()
        try:
            config = model.model_validate(filled, context={"base": self._recipe.path.absolute().parent})
            found = self._with_written(stage, config, labels)
            canonical_json(found.key_fields)
        except ValidationError as error:

            def note(inner: KeyPath) -> str:
                used = {name: labels[name] for name in placeholders(_at(stage.config, inner))}
                return f" (with {label_text(used)})" if used else ""

            add_validation_problems(error, model, filled, ("stages", stage.name), self._problems, note)
            return None
        except ValueError:
            self._problems.add(("stages", stage.name), f"stage {stage.name} has a number that is infinite or none")
            return None
        return found

    def _with_written(self, stage: RecipeStage, config: StageConfig, labels: Mapping[str, Label]) -> _CellConfig:
        """Return a config whose planned values and key have the settings of the recipe's file, without `--set`."""
        model = type(config)
        planned = config.model_dump(mode="json")
        settings, fields = settings_of(model, planned), config.key_fields()
        if not self._recipe.source.overridden("stages", stage.name):
            return _CellConfig(config, planned, fields, settings)
        written = interpolate(self._recipe.source.written_stage(stage.name), labels)
        for path in written_paths(model):
            value = _value_or(written, path, default_at(model, path))
            for table in (planned, fields):
                _replace(table, path, value)
        return _CellConfig(config, planned, fields, settings)

    def _needs(self, stage: RecipeStage, labels: Mapping[str, Label]) -> list[str]:
        """Return the names of the inputs of a stage in a cell; a skipped input is replaced by its own inputs.

        A stage inherits only kinds that it accepts: `ppo` takes the model that a skipped `prime` would have started
        from, not its priming data.
        """
        taken: dict[str, None] = {}
        for need in stage.needs:
            other = self._recipe.stages[need]
            if not other.skipped(labels):
                taken[need] = None
                continue
            for inherited in self._needs(other, labels):
                if stage.kind.accepts(self._recipe.stages[inherited].kind):
                    taken[inherited] = None
        return list(taken)

    def _skip_dimensions(self, stage: RecipeStage, labels: Mapping[str, Label]) -> set[str]:
        """Return the dimensions that decide which inputs a stage has in a cell."""
        found: set[str] = set()
        for need in stage.needs:
            other = self._recipe.stages[need]
            found.update(name for name in other.skip if name in labels)
            if other.skipped(labels):
                found |= self._skip_dimensions(other, labels)
        return found

    def _check_needs(self, stage: RecipeStage, needs: Iterable[str], labels: Mapping[str, Label]) -> None:
        names = list(needs)
        path = ("stages", stage.name, "needs")
        what = f"stage {stage.name} (kind {stage.kind.name})"
        cell = f" in cell {label_text(labels)}" if any(self._recipe.stages[need].skip for need in stage.needs) else ""
        for name in names:
            kind = self._recipe.stages[name].kind
            if not stage.kind.accepts(kind):
                allowed = accepted_kinds(*stage.kind.upstream)
                place = (*path, stage.needs.index(name)) if name in stage.needs else path
                hint = f"It takes stages of kind {_listed(allowed)}." if allowed else "It takes no needs."
                self._problems.add(place, f"{what} cannot use {name} (kind {kind.name})", hint)
        for upstream in stage.kind.upstream:
            found = [name for name in names if upstream.accepts(self._recipe.stages[name].kind)]
            if not found and upstream.required:
                candidates = [
                    other.name
                    for other in self._recipe.stages.values()
                    if upstream.accepts(other.kind) and other.name != stage.name
                ]
                hint = f"Add {_listed(candidates)} to its needs." if candidates else "Add such a stage to the recipe."
                self._problems.add(path, f"{what} needs a stage of kind {_listed_kinds(upstream)}{cell}", hint)
            elif len(found) > 1 and not upstream.many:
                message = f"{what} takes one stage of kind {_listed_kinds(upstream)}, not {', '.join(found)}{cell}"
                self._problems.add(path, message, "Leave one of them.")


def _at(value: Any, path: KeyPath) -> Any:
    for part in path:
        value = value[part]
    return value


def _value_or(table: Any, path: KeyPath, default: Any) -> Any:
    """Return the value at a path of a table, or the default where there is none."""
    for part in path:
        if not isinstance(table, Mapping) or part not in table:
            return default
        table = table[part]
    return table


def _replace(table: Any, path: KeyPath, value: Any) -> None:
    """Replace the value at a path of a table, in place, where it has one."""
    for part in path[:-1]:
        table = table.get(part) if isinstance(table, dict) else None
    if isinstance(table, dict) and path[-1] in table:
        table[path[-1]] = value


def _listed_kinds(upstream: Upstream) -> str:
    return _listed(accepted_kinds(upstream))


def _listed(names: Iterable[str]) -> str:
    *most, last = names
    return f"{', '.join(most)} or {last}" if most else last


def _agreed(one: Mapping[str, Label], other: Mapping[str, Label]) -> dict[str, Label]:
    """Return the labels that two cells of an instance have in common."""
    return {name: value for name, value in one.items() if name in other and is_same_label(value, other[name])}


def _instance(key: str, shared: _SharedInstance) -> StageInstance:
    return StageInstance(
        key=key,
        kind=shared.stage.kind.name,
        name=shared.stage.name,
        config=shared.config.planned,
        key_fields=shared.config.key_fields,
        settings=shared.config.settings,
        inputs=shared.inputs,
        labels=shared.labels,
        cells=tuple(shared.cells),
        resources=shared.stage.resources,
    )
