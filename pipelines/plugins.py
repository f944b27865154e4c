"""Registries that outside packages extend through entry points: tasks, judges, behaviour sets, stages, importers.

An outside package declares, in its `pyproject.toml`, an entry point in one of the groups of `GROUPS`; its value
names the object to register (`module:attribute`). A plug-in that cannot be imported, that lacks a member, or that
takes a name already in use is skipped and remembered as a `PluginFault`, which `cogtui doctor` lists: one broken
package must not stop the others.

Installed packages are searched only when a name is not built in or when all names are asked for. `importlib.metadata`
takes 20 to 60 ms, so it is imported only if a package declares an entry point of ours, which 1 ms tells.
"""

import difflib
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.machinery import PathFinder
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar, cast

from pipelines.errors import InvalidInput

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

GROUPS: Final = ("cogtui.tasks", "cogtui.judges", "cogtui.behaviors", "cogtui.stages", "cogtui.importers")
"""The entry-point groups (contract)."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class PluginFault:
    """A plug-in that was skipped.

    Attributes:
        group: its entry-point group.
        name: its name in that group.
        package: the distribution that declares it, empty where unknown.
        reason: why it was skipped, one line.
    """

    group: str
    name: str
    package: str
    reason: str


class Registry(Generic[T]):
    """The named extensions of one group: those built in, then those of installed packages.

    Args:
        group: one of `GROUPS`.
        noun: what an entry is called in errors, e.g. `task`.
        builtin: name to object, or to `module:attribute` of an object imported on first use.
        problem_of: returns why an object cannot be registered, or None if it can.
    """

    def __init__(
        self, group: str, noun: str, builtin: Mapping[str, T | str], problem_of: Callable[[object], str | None]
    ) -> None:
        self.group = group
        self.noun = noun
        self._builtin: dict[str, T | str] = dict(builtin)
        self.problem_of = problem_of
        self._plugins: dict[str, T] | None = None
        self._faults: list[PluginFault] = []

    def get(self, name: str) -> T:
        """Return the entry of that name.

        Raises:
            InvalidInput: there is none; names the nearest and, if a plug-in of that name was skipped, why.
        """
        if name in self._builtin:
            return self._load_builtin(name)
        plugins = self._installed()
        if name in plugins:
            return plugins[name]
        skipped = "; ".join(f"{fault.package or 'a plug-in'}: {fault.reason}" for fault in self._faults_of(name))
        names = list(self.names())
        nearest = difflib.get_close_matches(name, names, n=1)
        hint = f"Did you mean {nearest[0]}? " if nearest else ""
        raise InvalidInput(
            f"there is no {self.noun} {name!r}",
            detail=f"a plug-in of that name was skipped: {skipped}" if skipped else "",
            remedy=f"{hint}Available: {', '.join(names)}.",
        )

    def __contains__(self, name: object) -> bool:
        return name in self._builtin or name in self._installed()

    def names(self) -> Iterator[str]:
        """Yield all names, built-in first, plug-ins in alphabetical order."""
        yield from self._builtin
        yield from sorted(self._installed())

    def builtin_names(self) -> tuple[str, ...]:
        """Return the names that need no search of installed packages."""
        return tuple(self._builtin)

    def faults(self) -> tuple[PluginFault, ...]:
        """Return the plug-ins of this group that were skipped, with the reason."""
        self._installed()
        return tuple(self._faults)

    def reload(self) -> None:
        """Forget the plug-ins, so that the next look-up searches installed packages again."""
        self._plugins = None
        self._faults = []

    def convert(self, name: str, loaded: object) -> T:
        """Turn what an entry point names into what is registered: itself, unless a group says otherwise.

        Args:
            name: of the entry point.
            loaded: the object, in which `problem_of` found no problem.

        Raises:
            InvalidInput: it cannot be used; the summary is the reason.
        """
        return cast("T", loaded)

    def converted(self) -> tuple[T, ...]:
        """Return the plug-ins registered so far: for `convert`, which may compare a plug-in with those before it."""
        return tuple((self._plugins or {}).values())

    def _faults_of(self, name: str) -> list[PluginFault]:
        return [fault for fault in self._faults if fault.name == name]

    def _load_builtin(self, name: str) -> T:
        entry = self._builtin[name]
        if isinstance(entry, str):
            module, _, attribute = entry.partition(":")
            entry = cast("T", getattr(import_module(module), attribute))
            self._builtin[name] = entry
        return entry

    def _installed(self) -> dict[str, T]:
        if self._plugins is None:
            self._plugins = {}
            self._faults = []
            for point in sorted(entry_points(self.group), key=lambda point: (point.name, point.value)):
                self._add(self._plugins, point)
        return self._plugins

    def _add(self, plugins: dict[str, T], point: "EntryPoint") -> None:
        package = point.dist.name if point.dist else ""
        if point.name in self._builtin:
            reason: str | None = f"the name {point.name!r} is built in"
        elif point.name in plugins:
            reason = f"the name {point.name!r} is already taken by another plug-in"
        else:
            loaded, reason = _load_entry(point)
            if reason is None:
                reason = self.problem_of(loaded) or _other_name(loaded, point.name)
            if reason is None:
                try:
                    plugins[point.name] = self.convert(point.name, loaded)
                    return
                except InvalidInput as error:
                    reason = error.summary
        self._faults.append(PluginFault(self.group, point.name, package, reason or "unknown"))


def _other_name(entry: object, name: str) -> str | None:
    """Return why an entry cannot be registered under `name`: it calls itself otherwise. None if it can."""
    own = getattr(entry, "name", name)
    return f"it calls itself {own!r}" if isinstance(own, str) and own != name else None


def missing_members(entry: object, members: tuple[str, ...]) -> str | None:
    """Return a sentence that names the members `entry` lacks, or None. For `problem_of` of a protocol."""
    missing = [member for member in members if not hasattr(entry, member)]
    return f"it has no {', '.join(missing)}" if missing else None


def _load_entry(point: "EntryPoint") -> tuple[Any, str | None]:
    try:
        return point.load(), None
    except (Exception, SystemExit) as error:
        text = str(error).split("\n", 1)[0]
        return None, f"importing {point.value} failed: {type(error).__name__}: {text}"


def entry_points(group: str) -> "list[EntryPoint]":
    """Return the entry points of installed packages in a group."""
    if not _is_declared(group):
        return []
    from importlib import metadata

    return list(metadata.entry_points(group=group))


def _is_declared(group: str) -> bool:
    """Return whether a package on `sys.path` may declare entry points of the group; True if only a search can tell."""
    if any(hasattr(finder, "find_distributions") and finder is not PathFinder for finder in sys.meta_path):
        return True
    header = f"[{group}]".encode()
    for folder in map(Path, sys.path):
        if folder.suffix == ".egg":
            return True
        try:
            metadata = [path for path in folder.iterdir() if path.suffix in (".dist-info", ".egg-info", ".egg")]
        except NotADirectoryError:
            return True  # an archive: its metadata is inside
        except OSError:
            continue
        for path in metadata:
            inner = "EGG-INFO/entry_points.txt" if path.suffix == ".egg" else "entry_points.txt"
            try:
                if header in (path / inner).read_bytes():
                    return True
            except OSError:
                continue
    return False
