"""The widget of the form: sections of fields with their values, marked where they differ or are wrong."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.message import Message

from cogtui.app.launch.draft import LaunchDraft
from cogtui.app.launch.fields import FormField
from cogtui.app.rendering.styles import Part, StyleName
from cogtui.app.rendering.text import fit, printable_line
from cogtui.app.widgets.line_view import LineView

_LABEL = 26
_VALUE = 26


@dataclass(frozen=True, slots=True)
class _Heading:
    title: str


class FormView(LineView):
    """One line a field. Enter edits it, arrows go through its choices."""

    TITLE = "form"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "choose", "Edit"),
        Binding("right,space", "cycle(1)", "Next choice", show=False),
        Binding("left", "cycle(-1)", "Previous choice", show=False),
    ]

    class ChoiceCycled(Message):
        """The next or previous choice of a field is wanted."""

        def __init__(self, form_field: FormField, direction: int) -> None:
            super().__init__()
            self.form_field = form_field
            self.direction = direction

    def __init__(self) -> None:
        super().__init__()
        self._lines: list[_Heading | FormField | None] = []
        self._draft: LaunchDraft | None = None
        self._problems: Mapping[str, str] = {}

    @property
    def line_count(self) -> int:
        return len(self._lines)

    @property
    def field(self) -> FormField | None:
        """The field under the cursor."""
        line = self._lines[self.cursor] if self._lines else None
        return line if isinstance(line, FormField) else None

    def show_fields(self, fields: Sequence[FormField], draft: LaunchDraft, problems: Mapping[str, str]) -> None:
        """Show fields by section, with the values of a draft and what is wrong with them."""
        here = self.field
        lines: list[_Heading | FormField | None] = []
        section = ""
        for field in fields:
            if field.section != section:
                lines += [None, _Heading(field.section)] if lines else [_Heading(field.section)]
                section = field.section
            lines.append(field)
        self._draft, self._problems = draft, problems
        paths = [line.path if isinstance(line, FormField) else None for line in lines]
        if len(lines) == len(self._lines):
            self._lines = lines
            self.refresh()
            return
        self._lines = lines
        cursor = paths.index(here.path) if here is not None and here.path in paths else 1
        self.lines_changed(cursor=cursor)

    def validate_cursor(self, cursor: int) -> int:
        step = 1 if cursor >= self.cursor else -1
        wanted = super().validate_cursor(cursor)
        for direction in (step, -step):
            line = wanted
            while 0 <= line < len(self._lines):
                if isinstance(self._lines[line], FormField):
                    return line
                line += direction
        return 0

    def show_line(self, line: int, *, context: int = 0) -> None:
        # The heading of a section is scrolled in with its first field.
        before = self._lines[line - 1] if 0 < line <= len(self._lines) else None
        super().show_line(line, context=max(context, int(isinstance(before, _Heading))))

    def line_parts(self, line: int, width: int) -> Sequence[Part]:
        item = self._lines[line]
        if item is None:
            return []
        if isinstance(item, _Heading):
            return [(fit(printable_line(item.title, 60), width), "dim")]
        assert self._draft is not None
        changed = self._draft.value_of(item.name)
        problem = self._problems.get(item.name, "")
        label = min(_LABEL if width < 76 else _LABEL + 6, max(8, width * 3 // 10))
        value = min(_VALUE, max(8, width * 3 // 10))
        style: StyleName = "bad" if problem else "key" if changed is not None else "" if item.recipe else "dim"
        text = printable_line(item.value if changed is None else changed, 200)
        note, note_style = self._note(item, changed, problem)
        room = max(0, width - label - value - 5)
        return [
            (f"  {fit(printable_line(item.label, 80), label)} ", "strong" if changed is not None else ""),
            (fit(text, value), style),
            (f"  {fit(printable_line(note, 200), room)}", note_style),
        ]

    def _note(self, item: FormField, changed: str | None, problem: str) -> tuple[str, StyleName]:
        if problem:
            return problem, "bad"
        if changed is not None:
            return f"recipe: {item.recipe}" if item.recipe else f"default: {item.default}", "dim"
        if item.choices:
            return f"← → {' '.join(item.choices)}", "dim"
        if item.recipe and item.default and item.recipe != item.default:
            return f"default: {item.default}", "dim"
        return item.type, "dim"

    def action_cycle(self, direction: int) -> None:
        """Go to the next or previous choice of the field."""
        if self.field is not None and self.field.choices:
            self.post_message(self.ChoiceCycled(self.field, direction))
