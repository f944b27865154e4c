"""`StageKind`: everything that a stage kind declares, and the checks that a plug-in's kind must pass.

Importing this imports no pydantic, so that `cogtui show` can look a kind up.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, Protocol, cast

if TYPE_CHECKING:
    from pipelines.folder import StageFolder
    from pipelines.stages.configs import StageConfig
    from pipelines.stages.needs import StageNeed

Output = Literal["model", "rollouts", "traces", "documents"]
"""What other stages can use of a stage's folder:

- `model`: `artifacts/model`, with weights, config and tokenizer in the Hugging Face layout
- `rollouts`: `rollouts-*.jsonl`
- `traces`: `artifacts/traces*.jsonl`
- `documents`: documents of its own, which its `judgements-*.jsonl` judge
"""

Evaluation = Literal["none", "training", "once"]
"""Which evaluations a kind writes, for curves and comparisons:

- `training`: stream `metrics-eval`, at steps from 0 (before training) to the config's `steps`
- `once`: stream `metrics-SPLIT`, where SPLIT is the config's `split`
"""

RESERVED_FIELDS: Final = ("kind", "needs", "skip", "resources")
"""Keys of a stage table in a recipe that are not config; no config model may have a field of these names."""

_NAME: Final = re.compile(r"[a-z][a-z0-9_]*")

Result = Mapping[str, Any]
"""The content of a `result.json`."""


class StageTable(NamedTuple):
    """A table as text. Rows are as long as the head."""

    head: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]


class RunFunction(Protocol):
    """Runs a stage: reads config and `Inputs`, writes the folder, resumes from it, writes the result last."""

    def __call__(self, config: Any, inputs: Any, folder: StageFolder) -> None: ...


@dataclass(frozen=True, slots=True)
class Upstream:
    """One input of a stage: a stage of one of these kinds, or of any kind with one of these outputs."""

    kinds: tuple[str, ...] = ()
    writes: tuple[Output, ...] = ()
    required: bool = True
    many: bool = False
    """Whether several such stages may be given."""

    def accepts(self, kind: StageKind) -> bool:
        """Whether a stage of this kind can be the input."""
        return kind.name in self.kinds or any(output in kind.writes for output in self.writes)


@dataclass(frozen=True, slots=True)
class StageKind:
    """A kind of stage. A plug-in of group `cogtui.stages` is an object of this class.

    Functions and the config model are given as objects, or as `module:attribute` to import them only when used.

    Attributes:
        name: as recipes name it; lower-case letters, digits and `_`.
        summary: what it does, one line.
        config: its config model, a `StageConfig`. Its module must import nothing heavy.
        run: the function that runs it, imported only by the process that runs the stage.
        upstream: the inputs it takes.
        packages: packages beyond the core that `run` imports.
        extra: the extra of this project that installs them; empty for a plug-in's own.
        writes: what other stages can use of it.
        evaluates: which evaluations it writes.
        result_table: from the results of several stages, a table with one row a stage, for the end of a run.
        detail_table: from the result of one stage, a table for `cogtui show`.
        cost: from a config as plain values, what the stage will be billed, in a few words; None if nothing.
        needs: from a config as plain values, the `StageNeed`s that depend on it: packages, keys, paths.
        launches_itself: from a config as plain values, whether a stage starts the processes of a node itself; it
            is then one process a node, and not under torchrun.
    """

    name: str
    summary: str
    config: str | type[StageConfig]
    run: str | RunFunction
    upstream: tuple[Upstream, ...] = ()
    packages: tuple[str, ...] = ()
    extra: str = ""
    writes: tuple[Output, ...] = ()
    evaluates: Evaluation = "none"
    result_table: str | Callable[[Sequence[Result]], StageTable] | None = None
    detail_table: str | Callable[[Result], StageTable] | None = None
    cost: str | Callable[[Mapping[str, Any]], str | None] | None = None
    needs: str | Callable[[Mapping[str, Any]], Sequence[StageNeed]] | None = None
    launches_itself: str | Callable[[Mapping[str, Any]], bool] | None = None

    @property
    def makes_model(self) -> bool:
        """Whether it writes `artifacts/model`."""
        return "model" in self.writes

    def accepts(self, other: StageKind) -> bool:
        """Whether a stage of another kind can be one of its inputs."""
        return any(upstream.accepts(other) for upstream in self.upstream)

    def config_model(self) -> type[StageConfig]:
        """Return its config model."""
        return cast("type[StageConfig]", _load(self.config))

    def run_function(self) -> RunFunction:
        """Return the function that runs it; imports what the stage needs."""
        return cast("RunFunction", _load(self.run))

    def result_table_of(self, results: Sequence[Result]) -> StageTable | None:
        """Return the table of several results, one row each; None where the kind has none."""
        return None if self.result_table is None else StageTable(*_load(self.result_table)(results))

    def detail_table_of(self, result: Result) -> StageTable | None:
        """Return the table of one result; None where the kind has none."""
        return None if self.detail_table is None else StageTable(*_load(self.detail_table)(result))

    def cost_of(self, config: Mapping[str, Any]) -> str | None:
        """Return what a stage of this config will be billed, in a few words; None where nothing is asked."""
        return None if self.cost is None else cast("str | None", _load(self.cost)(config))

    def is_launching_itself(self, config: Mapping[str, Any]) -> bool:
        """Return whether a stage of this config starts the processes of a node itself."""
        return self.launches_itself is not None and bool(_load(self.launches_itself)(config))

    def needs_of(self, config: Mapping[str, Any]) -> Sequence[StageNeed]:
        """Return what a stage of this config needs beyond `packages`."""
        return () if self.needs is None else cast("Sequence[StageNeed]", _load(self.needs)(config))


def _load(target: Any) -> Any:
    if not isinstance(target, str):
        return target
    module, _, attribute = target.partition(":")
    return getattr(import_module(module), attribute)


def problem_of_kind(kind: object) -> str | None:
    """Return why an object cannot be registered as a stage kind, or None. Imports its config model."""
    from pipelines.stages.configs import StageConfig

    if not isinstance(kind, StageKind):
        return f"it is a {type(kind).__name__}, not a pipelines.stages.StageKind"
    if not _NAME.fullmatch(kind.name):
        return f"the name {kind.name!r} is not made of lower-case letters, digits and _"
    try:
        model: object = kind.config_model()
    except Exception as error:
        return f"importing its config {kind.config} failed: {type(error).__name__}: {str(error).split(chr(10), 1)[0]}"
    if not (isinstance(model, type) and issubclass(model, StageConfig)):
        return f"its config {model!r} is not a pipelines.stages.StageConfig"
    reserved = [name for name in RESERVED_FIELDS if name in model.model_fields]
    return f"its config has the reserved field {reserved[0]}" if reserved else None
