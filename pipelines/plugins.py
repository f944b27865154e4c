"""Registries that outside packages extend through entry points: tasks, judges, behaviour sets, stages, importers.

An outside package declares, in its `pyproject.toml`, an entry point in one of the groups of `GROUPS`; its value
names the object to register (`module:attribute`). A plug-in that cannot be imported or examined, that lacks a member,
or that takes a name already in use is skipped and remembered as a `PluginFault`, which `cogtui doctor` lists: one
broken package must not stop the others. What a plug-in prints while it is loaded goes to stderr.

Installed packages are searched only when a name is not built in or when all names are asked for. `importlib.metadata`
takes 20 to 60 ms, so it is imported only if a package declares an entry point of ours, which 1 ms tells.
"""

import contextlib
import difflib
import re
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.machinery import PathFinder
from pathlib import Path
from typing import TYPE_CHECKING, Final, Generic, TextIO, TypeVar, cast

from pipelines.errors import InvalidInput

if TYPE_CHECKING:
    from importlib.metadata import Distribution, EntryPoint

GROUPS: Final = ("cogtui.tasks", "cogtui.judges", "cogtui.behaviors", "cogtui.stages", "cogtui.importers")
"""The entry-point groups (contract)."""
POINTS_FILE: Final = "entry_points.txt"
_OUR_GROUP: Final = re.compile(r"^\s*\[\s*(cogtui[^\w\]][^\]]*)\]", re.MULTILINE)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class PluginFault:
    """A plug-in that was skipped.

    Attributes:
        group: its entry-point group.
        name: its name in that group, or `POINTS_FILE` where that file of the package cannot be read.
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
        self._packages: dict[str, str] = {}
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
            self._packages = {}
            points, unreadable = entry_points(self.group)
            self._faults = list(unreadable)
            for point in sorted(points, key=lambda point: (point.name, point.value)):
                with _STDOUT_TO_STDERR:
                    reason = self._add(self._plugins, point)
                if reason is not None:
                    self._faults.append(PluginFault(self.group, point.name, _package_of(point), reason))
        return self._plugins

    def _add(self, plugins: dict[str, T], point: "EntryPoint") -> str | None:
        """Register a plug-in; returns why it is skipped, or None."""
        name = point.name
        if name in self._builtin:
            return f"the name {name!r} is built in"
        if name in plugins:
            return f"the name {name!r} is already taken by the plug-in of {self._packages[name] or 'another package'}"
        try:
            loaded = point.load()
        except (Exception, SystemExit) as error:
            return f"importing {point.value} failed: {_one_line(error)}"
        try:
            reason = self.problem_of(loaded) or _other_name(loaded, name)
            if reason is not None:
                return reason
            plugins[name] = self.convert(name, loaded)
        except InvalidInput as error:
            return error.summary
        except (Exception, SystemExit) as error:  # code of the package runs: its properties, its file readers
            return f"examining {point.value} failed: {_one_line(error)}"
        self._packages[name] = _package_of(point)
        return None


def _other_name(entry: object, name: str) -> str | None:
    """Return why an entry cannot be registered under `name`: it calls itself otherwise. None if it can."""
    own = getattr(entry, "name", name)
    return f"it calls itself {own!r}" if isinstance(own, str) and own != name else None


def missing_members(entry: object, members: tuple[str, ...]) -> str | None:
    """Return a sentence that names the members `entry` lacks, or None. For `problem_of` of a protocol."""
    missing = [member for member in members if not hasattr(entry, member)]
    return f"it has no {', '.join(missing)}" if missing else None


def _one_line(error: BaseException) -> str:
    text = str(error).split("\n", 1)[0]
    return f"{type(error).__name__}: {text}"


class _StdoutRedirection:
    """Sends what is printed to stderr: stdout of a command with `--json` holds one JSON object and nothing else.

    Blocks may nest and overlap in several threads: the first one that starts redirects, the last one that ends undoes
    it. `contextlib.redirect_stdout` would leave stdout redirected where blocks of two threads overlap.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._depth = 0
        self._stdout: TextIO | None = None

    def __enter__(self) -> None:
        with self._lock:
            if self._depth == 0:
                self._stdout, sys.stdout = sys.stdout, sys.stderr
            self._depth += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._depth -= 1
            if self._depth == 0:
                sys.stdout, self._stdout = cast("TextIO", self._stdout), None


_STDOUT_TO_STDERR: Final = _StdoutRedirection()


def entry_points(group: str) -> "tuple[list[EntryPoint], list[PluginFault]]":
    """Return the entry points of installed packages in a group, and the packages whose entry points are unreadable."""
    if not _is_declared(group):
        return [], []
    from importlib import metadata

    try:
        return list(metadata.entry_points(group=group)), []
    except Exception:  # one malformed file of any package, be it one that has nothing to do with cogtui
        return _read_one_by_one(group)


def _read_one_by_one(group: str) -> "tuple[list[EntryPoint], list[PluginFault]]":
    points: list[EntryPoint] = []
    faults: list[PluginFault] = []
    for package, distribution, text in _distributions():
        try:
            points += [point for point in distribution.entry_points if point.group == group]
        except Exception as error:
            if group in _OUR_GROUP.findall(text):
                reason = f"its {POINTS_FILE} cannot be read: {_malformed_line(text) or _one_line(error)}"
                faults.append(PluginFault(group, POINTS_FILE, package, reason))
    return points, faults


def _malformed_line(text: str) -> str | None:
    for number, line in enumerate(map(str.strip, text.splitlines()), start=1):
        if line and not line.startswith(("#", "[")) and "=" not in line:
            return f"line {number} has no =: {line[:60]!r}"
    return None


def _distributions() -> "Iterator[tuple[str, Distribution, str]]":
    """Yield the installed packages that have entry points: name, distribution and text of the file.

    Of several with one name the first on `sys.path` counts, as for imports.
    """
    from importlib import metadata

    seen = set()
    for distribution in metadata.distributions():
        package, text = "", ""
        with contextlib.suppress(Exception):  # metadata that is absent or no text
            package = distribution.name or ""
            text = distribution.read_text(POINTS_FILE) or ""
        key = re.sub(r"[-_.]+", "-", package).lower()
        if key in seen and key:
            continue
        seen.add(key)
        if text:
            yield package, distribution, text


def _package_of(point: "EntryPoint") -> str:
    try:
        return (point.dist.name if point.dist else "") or ""
    except Exception:  # its metadata cannot be read
        return ""


def unknown_groups() -> Iterator[tuple[str, str]]:
    """Yield the entry-point groups named like ours that nothing reads: package and group, e.g. `cogtui.judgs`."""
    for package, _, text in _distributions():
        for group in dict.fromkeys(_OUR_GROUP.findall(text)):
            if group not in GROUPS:
                yield package, group


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
