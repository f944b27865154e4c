"""A behaviour set as its `set.toml` describes it: names, letters, colours, definitions, default judges."""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, Literal

from pipelines.errors import InvalidInput

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

SET_FILE: Final = "set.toml"
PROMPTS: Final = "prompts"
"""Folder of the questions an LLM judge asks, by mode: `prompts/spans/BEHAVIOR.md`."""
ThemeKind = Literal["dark", "light"]
_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,39}")
"""Behaviours are columns of the index and fields of filters."""
_NAMES_IN_USE: Final = """
accuracy answer byte completion condition correct counts experiment failed file finish finish_reason has
has_answer has_note id judge judged kind length meta n n_tokens name note noted numbers ordinal problem problem_id
prompt reward run sample scored seed serial series spans split stage statuses step tag tags target task text
tokens uid unaligned
"""
"""Columns of the index, of lists and of exports, fields of filters, measures of curves."""
_SQL_WORDS: Final = """
add all alter and as autoincrement between case cast check collate commit constraint create current_date
current_time current_timestamp default deferrable delete distinct drop else escape except exists false foreign from
group having in index insert intersect into is isnull join limit not nothing notnull null oid on or order primary
raise references returning rowid select set table then to transaction true union unique update using values when
where
"""
"""Words of SQL that cannot name a column, and names that SQLite gives a meaning of its own."""
RESERVED_NAMES: Final = frozenset(f"{_NAMES_IN_USE} {_SQL_WORDS}".split())
"""Names a behaviour cannot have; `tests/contracts/test_reserved_names.py` compares them with the index."""
_COLOR: Final = re.compile(r"#[0-9a-fA-F]{6}")
_MOST_BEHAVIORS: Final = 12
"""A set has a lane of the gutter for each, and a column of the index for each ordered pair."""


@dataclass(frozen=True, slots=True)
class ThemeColors:
    """The colours of a behaviour under one kind of theme, as `#rrggbb`."""

    background: str
    """Behind the text of a span."""
    ink: str
    """Of the letter in the gutter and of lines."""


@dataclass(frozen=True, slots=True)
class BehaviorDefinition:
    """One behaviour of a set."""

    name: str
    letter: str
    """One capital letter, its sign in gutters and tables; unique in the set."""
    short: str
    """The name where room is scarce."""
    definition: str
    """What counts as an instance, in one sentence."""
    colors: Mapping[ThemeKind, ThemeColors]


@dataclass(frozen=True)
class BehaviorSet:
    """A taxonomy of behaviours."""

    name: str
    title: str
    behaviors: tuple[BehaviorDefinition, ...]
    default_judges: tuple[str, ...]
    """Names of judges that judge it, the usual one first."""
    folder: "Traversable"
    """The folder of `set.toml` and the prompts."""

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The names of its behaviours, in the order every screen, table and file uses."""
        return tuple(behavior.name for behavior in self.behaviors)


def read_set(folder: "Traversable") -> BehaviorSet:
    """Read the behaviour set of a folder.

    Raises:
        InvalidInput: there is no `set.toml`, or it describes no set; names the entry that is wrong.
    """
    try:
        fields = tomllib.loads((folder / SET_FILE).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InvalidInput(f"{SET_FILE} of {folder} cannot be read: {error}") from error
    entries = fields.get("behaviors")
    if not isinstance(entries, list) or not 1 <= len(entries) <= _MOST_BEHAVIORS:
        raise InvalidInput(f"{SET_FILE} needs 1 to {_MOST_BEHAVIORS} [[behaviors]]")
    behaviors = tuple(_behavior(entry, f"behaviour {number}") for number, entry in enumerate(entries, start=1))
    for what, values in (("name", [b.name for b in behaviors]), ("letter", [b.letter for b in behaviors])):
        twice = sorted({value for value in values if values.count(value) > 1})
        if twice:
            raise InvalidInput(f"two behaviours have the {what} {twice[0]!r}")
    judges = fields.get("default_judges", [])
    if not isinstance(judges, list) or not all(isinstance(judge, str) for judge in judges):
        raise InvalidInput("default_judges is not a list of names")
    name = _matching(_NAME, fields, "name", "the set")
    return BehaviorSet(name, _text(fields, "title", "the set"), behaviors, tuple(judges), folder)


def _behavior(entry: Any, what: str) -> BehaviorDefinition:
    if not isinstance(entry, dict):
        raise InvalidInput(f"{what} is not a table")
    name = _matching(_NAME, entry, "name", what)
    if name in RESERVED_NAMES:
        raise InvalidInput(f"the name of {what} is {name!r}, which names something else in filters or in the index")
    if "__" in name or name.startswith("address_"):  # columns made of the names of behaviours
        raise InvalidInput(f"the name of {what} is {name!r}; it must not contain __ or begin with address_")
    letter = _text(entry, "letter", name)
    if len(letter) != 1 or not "A" <= letter <= "Z":
        raise InvalidInput(f"the letter of {name} is not one of A to Z")
    colors: dict[ThemeKind, ThemeColors] = {}
    for kind in ("dark", "light"):
        theme = entry.get(kind)
        if not isinstance(theme, dict):
            raise InvalidInput(f"{name} has no colours for {kind} themes: [behaviors.{kind}]")
        where = f"{name}.{kind}"
        colors[kind] = ThemeColors(
            _matching(_COLOR, theme, "background", where), _matching(_COLOR, theme, "ink", where)
        )
    return BehaviorDefinition(name, letter, _text(entry, "short", name), _text(entry, "definition", name), colors)


def _text(fields: Mapping[str, Any], key: str, what: str) -> str:
    value = fields.get(key)
    if not isinstance(value, str) or not value.strip() or not value.isprintable():
        raise InvalidInput(f"{what} needs a line of text for {key!r}")
    return value.strip()


def _matching(pattern: re.Pattern[str], fields: Mapping[str, Any], key: str, what: str) -> str:
    value = fields.get(key)
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise InvalidInput(f"the {key} of {what} is {value!r}; it must look like {pattern.pattern}")
    return value
