"""The behaviour sets of this installation: four_habits, then those of installed packages by name.

They are settled once, when this module is imported: the columns of the index and the fields of filters follow from
them. A set takes part in a screen or a table only where its behaviours occur, see `behaviors_in_use`.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from types import ModuleType
from typing import Any, Final

from pipelines.behaviors.sets.definition import BehaviorDefinition, BehaviorSet, read_set
from pipelines.behaviors.sets.four_habits import FOUR_HABITS
from pipelines.errors import InvalidInput
from pipelines.plugins import Registry


class BehaviorSetRegistry(Registry[BehaviorSet]):
    """The registry of the group `cogtui.behaviors`: an entry point names a package that holds a `set.toml`."""

    def __init__(self) -> None:
        super().__init__("cogtui.behaviors", "behaviour set", {FOUR_HABITS.name: FOUR_HABITS}, _no_package)

    def convert(self, name: str, loaded: object) -> BehaviorSet:
        """Read the set of a package.

        Raises:
            InvalidInput: it has no usable `set.toml`, or a behaviour of that name belongs to another set.
        """
        from importlib.resources import files  # here: the first screen of the app needs no package of another set

        assert isinstance(loaded, ModuleType)
        found = read_set(files(loaded.__name__))
        if found.name != name:
            raise InvalidInput(f"its set.toml names the set {found.name!r}, its entry point {name!r}")
        taken = {behavior: one.name for one in (FOUR_HABITS, *self.converted()) for behavior in one.names}
        for behavior in found.names:
            if behavior in taken:
                raise InvalidInput(f"the behaviour {behavior!r} belongs to {taken[behavior]} already")
        return found


def _no_package(entry: object) -> str | None:
    if not isinstance(entry, ModuleType):
        return "it names no package; write PACKAGE without an attribute"
    if not hasattr(entry, "__path__"):
        return f"{entry.__name__} is a module in one file; a behaviour set is a package, a folder with a set.toml"
    return None


SETS: Final = BehaviorSetRegistry()
BEHAVIOR_SETS: Final[tuple[BehaviorSet, ...]] = tuple(SETS.get(name) for name in SETS.names())
BEHAVIORS: Final[tuple[str, ...]] = tuple(chain.from_iterable(one.names for one in BEHAVIOR_SETS))
"""The behaviours of all sets: what the index has a column for."""
DEFINITIONS: Final[Mapping[str, BehaviorDefinition]] = {
    behavior.name: behavior for one in BEHAVIOR_SETS for behavior in one.behaviors
}
BEHAVIOR_LETTERS: Final[Mapping[str, str]] = {name: behavior.letter for name, behavior in DEFINITIONS.items()}
SET_OF: Final[Mapping[str, BehaviorSet]] = {name: one for one in BEHAVIOR_SETS for name in one.names}


def behaviors_in_use(occurring: Iterable[str]) -> tuple[str, ...]:
    """Return the behaviours of the sets that occur, in the order of `BEHAVIORS`; those of four_habits if none does.

    Args:
        occurring: names of behaviours; unknown ones are ignored.
    """
    if len(BEHAVIOR_SETS) == 1:
        return FOUR_HABITS.names
    found = {SET_OF[name].name for name in occurring if name in SET_OF}
    return tuple(chain.from_iterable(one.names for one in BEHAVIOR_SETS if one.name in found)) or FOUR_HABITS.names


def behavior_of_letter(behaviors: Iterable[str], letter: str) -> str | None:
    """Return the first of some behaviours that has a letter, in either case."""
    return next((name for name in behaviors if BEHAVIOR_LETTERS[name] == letter.upper()), None)


def behaviors_counted(counts: Iterable[Sequence[float | None]]) -> tuple[str, ...]:
    """Return the behaviours in use in rows of counts.

    Args:
        counts: a count for each of `BEHAVIORS`, None where it was not judged.
    """
    if len(BEHAVIOR_SETS) == 1:
        return FOUR_HABITS.names
    return behaviors_in_use(
        name for row in counts for name, count in zip(BEHAVIORS, row, strict=True) if count is not None
    )


def behavior_names(results: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the behaviours that a table of results of stages shows, those of a set no longer installed last."""
    named = dict.fromkeys(name for result in results for name in result.get("behaviors") or ())
    unknown = [name for name in named if name not in SET_OF]
    return unknown if unknown and len(unknown) == len(named) else [*behaviors_in_use(named), *unknown]
