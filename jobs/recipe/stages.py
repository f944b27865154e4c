"""Reads `[stages.NAME]` and `[resources.NAME]` of a recipe."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from jobs.recipe.interpolation import placeholders
from jobs.recipe.labels import Label
from jobs.recipe.matrix import is_same_label
from jobs.recipe.resources import Resources
from jobs.recipe.secrets import find_secrets
from jobs.recipe.source import RecipeProblems, nearest_word, suggest
from jobs.recipe.toml_lines import KeyPath
from jobs.recipe.validation import add_validation_problems
from pipelines.errors import InvalidInput
from pipelines.stages import RESERVED_FIELDS, STAGE_KINDS, StageKind, stage_kind

DEFAULT_RESOURCES: Final = "default"
_NAME: Final = re.compile(r"[a-z][a-z0-9_]*")


@dataclass(frozen=True, slots=True)
class RecipeStage:
    """A `[stages.NAME]` table with its placeholders."""

    name: str
    kind: StageKind
    needs: tuple[str, ...] = ()
    skip: dict[str, tuple[Label, ...]] = field(default_factory=dict)
    """The stage is left out of cells where every dimension named here has one of these values."""
    config: dict[str, Any] = field(default_factory=dict)
    resources: Resources = field(default_factory=Resources)

    def skipped(self, labels: Mapping[str, Label]) -> bool:
        """Whether the stage is left out of a cell."""
        return bool(self.skip) and all(
            name in labels and any(is_same_label(labels[name], value) for value in values)
            for name, values in self.skip.items()
        )


class StageReader:
    """Reads the stage tables of a recipe.

    Args:
        tables: `[stages]` as written.
        resources: `[resources]`, validated, by name.
        dimensions: values by dimension of the matrix.
        written: the same before any `--set`; a `skip` may name values that a `--set` removed.
        problems: receives the problems.
    """

    def __init__(
        self,
        tables: Mapping[str, Any],
        resources: Mapping[str, Resources],
        dimensions: Mapping[str, list[Label]],
        written: Mapping[str, list[Label]],
        problems: RecipeProblems,
    ) -> None:
        self._tables = tables
        self._resources = resources
        self._dimensions = dimensions
        self._values = {name: [*dimensions.get(name, ()), *written.get(name, ())] for name in {**dimensions, **written}}
        self._problems = problems

    def read(self) -> dict[str, RecipeStage]:
        """Return the stages by name, in the order written."""
        stages = {}
        for name, table in self._tables.items():
            path = ("stages", name)
            if not _NAME.fullmatch(name):
                self._problems.add(path, f"{name!r} is not a valid stage name", "Use lower-case letters, digits and _.")
            elif not isinstance(table, dict):
                self._problems.add(path, f"stages.{name} is a table, not {table!r}", f"Write it as [stages.{name}].")
            else:
                stage = self._stage(name, table)
                if stage is not None:
                    stages[name] = stage
        return stages

    def _stage(self, name: str, table: Mapping[str, Any]) -> RecipeStage | None:
        kind = self._kind(name, table)
        config = {key: value for key, value in table.items() if key not in RESERVED_FIELDS}
        for placeholder, place in placeholders(config).items():
            if placeholder not in self._dimensions:
                hint = suggest(placeholder, self._dimensions, "Placeholders")
                literal = f"A literal one is written {{{{{placeholder}}}}}."
                self._problems.add(
                    ("stages", name, *place), f"unknown placeholder {{{placeholder}}}", f"{hint} {literal}"
                )
        needs = self._needs(name, table)
        skip = self._skip(name, table)
        resources = self._chosen_resources(name, table)
        return None if kind is None else RecipeStage(name, kind, needs, skip, config, resources)

    def _kind(self, name: str, table: Mapping[str, Any]) -> StageKind | None:
        kind = table.get("kind")
        if kind is None:
            kinds = list(STAGE_KINDS.names())
            close = nearest_word(name, kinds)
            hint = f'Add kind = "{close}".' if close else f"Add one of: {', '.join(kinds)}."
            self._problems.add(("stages", name), f"stage {name} has no kind", hint)
            return None
        path = ("stages", name, "kind")
        if not isinstance(kind, str):
            self._problems.add(path, f"kind is a string, not {kind!r}")
            return None
        try:
            return stage_kind(kind)
        except InvalidInput as error:
            self._problems.add(path, "; ".join(filter(None, (error.summary, error.detail))), error.remedy)
            return None

    def _needs(self, name: str, table: Mapping[str, Any]) -> tuple[str, ...]:
        path = ("stages", name, "needs")
        needs = table.get("needs", [])
        if not isinstance(needs, list) or not all(isinstance(need, str) for need in needs):
            self._problems.add(path, f"needs is a list of stage names, not {needs!r}")
            return ()
        others = [other for other in self._tables if other != name]
        for index, need in enumerate(needs):
            if need == name:
                self._problems.add((*path, index), f"stage {name} needs itself", "Remove it.")
            elif need not in others:
                self._problems.add((*path, index), f"there is no stage {need!r}", suggest(need, others, "Stages"))
            elif need in needs[:index]:
                self._problems.add((*path, index), f"{need!r} is listed twice", "Remove one of the two.")
        return tuple(needs)

    def _skip(self, name: str, table: Mapping[str, Any]) -> dict[str, tuple[Label, ...]]:
        path = ("stages", name, "skip")
        skip = table.get("skip", {})
        if not isinstance(skip, dict):
            self._problems.add(path, f"skip is a table, not {skip!r}", 'Write skip = { condition = ["none"] }.')
            return {}
        found = {}
        for dimension, given in skip.items():
            if dimension not in self._values:
                hint = suggest(dimension, self._values, "Dimensions")
                self._problems.add((*path, dimension), f"the matrix has no {dimension!r}", hint)
                continue
            known = self._values[dimension]
            values = given if isinstance(given, list) else [given]
            for index, value in enumerate(values):
                if not any(is_same_label(value, other) for other in known):
                    place = (*path, dimension, index) if isinstance(given, list) else (*path, dimension)
                    hint = suggest(str(value), dict.fromkeys(map(str, known)), "Values")
                    self._problems.add(place, f"{dimension} has no value {value!r}", hint)
            found[dimension] = tuple(values)
        return found

    def _chosen_resources(self, name: str, table: Mapping[str, Any]) -> Resources:
        if "resources" not in table:
            return self._resources.get(name) or self._resources.get(DEFAULT_RESOURCES) or Resources()
        chosen = table["resources"]
        if not isinstance(chosen, str) or chosen not in self._resources:
            hint = suggest(str(chosen), self._resources, "Resources")
            self._problems.add(("stages", name, "resources"), f"there are no resources {chosen!r}", hint)
            return Resources()
        return self._resources[chosen]


def read_resources(
    tables: Any, stages: Mapping[str, Any], base: Path, problems: RecipeProblems
) -> dict[str, Resources]:
    """Return `[resources]` by name. A name that no stage uses is an error, because it would have no effect.

    A stage uses the resources it names in `resources`, else those of its own name, else `default`, which also gives
    the values that the others leave out.
    """
    if not isinstance(tables, dict):
        problems.add(("resources",), f"resources is a table, not {tables!r}", "Write [resources.NAME].")
        return {}
    used = {table.get("resources", name) for name, table in stages.items() if isinstance(table, dict)}
    common: Mapping[str, Any] = {}
    found = {}
    for name in sorted(tables, key=lambda name: name != DEFAULT_RESOURCES):  # the default first: others build on it
        table, path = tables[name], ("resources", name)
        if not isinstance(table, dict):
            problems.add(path, f"resources.{name} is a table, not {table!r}", f"Write it as [resources.{name}].")
            continue
        if name != DEFAULT_RESOURCES and name not in used:
            problems.add(path, f"no stage uses the resources {name!r}", suggest(name, stages, "Stages"))
        try:
            found[name] = Resources.model_validate({**common, **table}, context={"base": base})
            common = table if name == DEFAULT_RESOURCES else common
            _refuse_secrets(found[name], path, table, problems)
        except ValidationError as error:
            add_validation_problems(error, Resources, table, path, problems)
            found[name] = Resources()
    return found


def _refuse_secrets(resources: Resources, path: KeyPath, table: Mapping[str, Any], problems: RecipeProblems) -> None:
    for secret in find_secrets(resources):
        if secret.field in table:  # what comes from the default resources is named there
            inner = (secret.name,) if secret.field == "environment" else ()
            problems.add(
                (*path, secret.field, *inner),
                f"{secret.name} in {secret.field} looks like a secret, and would be kept in files of the workspace",
                f"Export {secret.name} in the shell that runs cogtui: jobs get its environment.",
            )


def sort_by_needs(stages: Mapping[str, RecipeStage], problems: RecipeProblems) -> dict[str, RecipeStage]:
    """Return the stages, each after its inputs, else in the order written; a cycle becomes a problem."""
    ordered: dict[str, RecipeStage] = {}
    waiting = dict(stages)
    while waiting:
        ready = next((name for name, stage in waiting.items() if all(need in ordered for need in stage.needs)), None)
        if ready is None:
            cycle = _cycle(waiting)
            problems.add(
                ("stages", cycle[0], "needs"),
                f"the stages need each other in a circle: {' → '.join((*cycle, cycle[0]))}",
                "Remove one of these needs.",
            )
            return ordered
        ordered[ready] = waiting.pop(ready)
    return ordered


def _cycle(waiting: Mapping[str, RecipeStage]) -> list[str]:
    """Return the names along a cycle, each needing the next. Every waiting stage needs another waiting one."""
    trail = [next(iter(waiting))]
    while True:
        following = next(need for need in waiting[trail[-1]].needs if need in waiting)
        if following in trail:
            return trail[trail.index(following) :]
        trail.append(following)
