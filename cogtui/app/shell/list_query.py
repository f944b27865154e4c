"""The query of a list of rollouts: scope, quick filters, typed filter, and order."""

from dataclasses import dataclass, field, replace
from typing import Literal

from cogtui.store import Query, Sort
from cogtui.store.filter.parser import parse

QuickFilter = Literal["condition", "step", "correct"]


@dataclass(frozen=True, slots=True)
class ListQuery:
    """The parts of a filter, separate so that each can be changed alone."""

    scope: str = ""
    """The filter that the list was opened with, for example one stage; fixed while the list is open."""
    quick: tuple[tuple[QuickFilter, str], ...] = ()
    """Values chosen from lists."""
    typed: str = ""
    """The filter typed in the filter bar."""
    sort: Sort = field(default_factory=lambda: Sort("step", descending=True))

    @property
    def text(self) -> str:
        """The whole filter as one text, in the syntax of `cogtui rollouts`."""
        parts = [part for part in (self.scope, *(f"{name}:{quote_value(value)}" for name, value in self.quick)) if part]
        parts += [self.typed] if self.typed.strip() else []
        if len(parts) == 1:
            return parts[0]
        return " ".join(parenthesise(part) for part in parts)

    @property
    def own_text(self) -> str:
        """The filter without the scope."""
        return replace(self, scope="").text

    def query(self) -> Query:
        """Return the query for the store.

        Raises:
            FilterError: the typed text is no filter.
        """
        whole = parse(self.scope)
        for name, value in self.quick:
            whole &= parse(f"{name}:{quote_value(value)}")
        return Query(whole & parse(self.typed), self.sort)

    def with_quick(self, name: QuickFilter, value: str | None) -> "ListQuery":
        """Return the query with a quick filter set, or cleared by None."""
        kept = tuple(pair for pair in self.quick if pair[0] != name)
        return replace(self, quick=kept if value is None else (*kept, (name, value)))

    def value(self, name: QuickFilter) -> str | None:
        """Return the value of a quick filter."""
        return dict(self.quick).get(name)


def quote_value(value: str) -> str:
    """Quote a value for the filter language where needed."""
    if value and all(char.isalnum() or char in "_-." for char in value):
        return value
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def parenthesise(text: str) -> str:
    """Put a filter in parentheses if it contains an OR."""
    return f"({text})" if " OR " in f" {text} " or " or " in f" {text} " else text
