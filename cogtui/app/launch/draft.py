"""A launch that is being prepared: a recipe, changes to it, and a cluster; and the command that does the same."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType

from cogtui.app.launch.fields import CLUSTER_PATH, CLUSTERS, RETRY_PATH
from jobs.recipe.bundled import bundled_recipes
from jobs.workspace import Workspace
from pipelines.errors import InvalidInput

_CLUSTER = ".".join(CLUSTER_PATH)
_RETRY = ".".join(RETRY_PATH)


@dataclass(frozen=True, slots=True)
class LaunchDraft:
    """What the form holds. Equal drafts launch equal stages."""

    recipe: Path
    changes: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """Text of each changed value by the dotted path of `--set`, in the order changed."""
    cluster: str = CLUSTERS[0]
    retry: bool = False
    """Whether failed and cancelled stages are started again, too."""

    @property
    def overrides(self) -> tuple[str, ...]:
        """The `--set` arguments."""
        return tuple(f"{name}={text}" for name, text in self.changes.items())

    def changed(self, name: str, text: str | None) -> "LaunchDraft":
        """Return the draft with one field changed, or with the recipe's value if `text` is None."""
        if name == _CLUSTER:
            return replace(self, cluster=CLUSTERS[0] if text is None else text)
        if name == _RETRY:
            return replace(self, retry=text == "true")
        changes = dict(self.changes)
        if text is None:
            changes.pop(name, None)
        else:
            changes[name] = text
        return replace(self, changes=MappingProxyType(changes))

    def value_of(self, name: str) -> str | None:
        """Return the text a field was changed to; None if it was not."""
        if name == _CLUSTER:
            return None if self.cluster == CLUSTERS[0] else self.cluster
        if name == _RETRY:
            return "true" if self.retry else None
        return self.changes.get(name)

    def command(self, workspace: Workspace) -> str:
        """Return the shell command that launches the same and returns at once."""
        parts = ["cogtui", "run", _short_name(self.recipe)]
        for override in self.overrides:
            parts += ["--set", override]
        if self.cluster != CLUSTERS[0]:
            parts += ["--cluster", self.cluster]
        if self.retry:
            parts.append("--retry")
        if workspace != Workspace.locate():
            parts += ["--workspace", str(_from_here(workspace.path))]
        return shlex.join([*parts, "--detach"])


def changes_of(overrides: tuple[str, ...]) -> Mapping[str, str]:
    """Return `--set` arguments by path."""
    pairs = [override.partition("=") for override in overrides]
    return MappingProxyType({name.strip(): text.strip() for name, _, text in pairs})


def problems_by_field(error: InvalidInput, draft: LaunchDraft) -> tuple[dict[str, str], list[str]]:
    """Split a recipe's problems into those of changed fields, by dotted path, and the others.

    The recipe names the `--set` argument that gave a wrong value. A problem that several values cause together is
    named at one of them.
    """
    of_fields: dict[str, str] = {}
    others: list[str] = []
    for index, line in enumerate((error.summary, *error.detail.splitlines())):
        for name, text in draft.changes.items():
            start = f"--set {name}={text}: "
            if line.startswith(start):
                message = line.removeprefix(start).removeprefix(f"{name}: ")
                hint = f" ({error.remedy})" if index == 0 and error.remedy else ""
                of_fields.setdefault(name, message + hint)
                break
        else:
            others.append(line)
    if others and others[0] == error.summary and error.remedy:
        others[0] = f"{others[0]} ({error.remedy})"
    return of_fields, others


def _short_name(path: Path) -> str:
    """Return the name of a bundled recipe, or the shortest path from here."""
    if any(path == recipe.path for recipe in bundled_recipes()) and not Path(path.stem).is_file():
        return path.stem
    return str(_from_here(path))


def _from_here(path: Path) -> Path:
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path
