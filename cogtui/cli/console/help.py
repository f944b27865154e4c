"""Help pages whose lines break between words: click's own formatter cuts long words and breaks at hyphens."""

from collections.abc import Callable, Sequence
from typing import Any, Final

import typer
from typer.core import TyperCommand, TyperGroup

from cogtui.cli.console.layout import prose_width, text_width, wrap_words

# typer has its own copy of click, which is reached through its public classes.
_FORMATTER: Final[Any] = typer.Context.formatter_class
_CONTEXT: Final[Any] = TyperCommand.context_class
_NAME_COLUMN: Final = 30
"""Columns of the names in a list of options or commands; a longer one gets a line of its own."""
_INDENT: Final = "  "


class HelpPage(_FORMATTER):  # type: ignore[misc]  # typer's own copy of click has no public name
    """Writes usage, paragraphs and definition lists, wrapped between words."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.width = prose_width() - 1

    def write_usage(self, prog: str, args: str = "", prefix: str | None = None) -> None:
        """Write the usage line."""
        self._write_lines(f"{'Usage: ' if prefix is None else prefix}{prog} {args}".rstrip(), "         ")

    def write_text(self, text: str) -> None:
        """Write paragraphs, which empty lines separate."""
        for place, paragraph in enumerate(text.split("\n\n")):
            self.write("\n" if place else "")
            self._write_lines(" " * self.current_indent + " ".join(paragraph.split()))

    def write_dl(self, rows: Sequence[tuple[str, str]], col_max: int = _NAME_COLUMN, col_spacing: int = 2) -> None:
        """Write names with their explanations beside them, or below where a name is long."""
        column = min(max((text_width(name) for name, _ in rows), default=0), col_max) + col_spacing
        indent = " " * self.current_indent
        for name, text in rows:
            below = indent + " " * column
            first = f"{indent}{name:<{column}}"
            if text_width(name) > column - col_spacing:
                self._write_lines(f"{indent}{name}", _INDENT)
                first = below
            lines = wrap_words(" ".join(text.split()), self.width - len(below))
            self.write("\n".join([f"{first}{lines[0]}".rstrip(), *(below + line for line in lines[1:])]) + "\n")

    def _write_lines(self, text: str, hanging: str = "") -> None:
        self.write("".join(f"{line}\n" for line in wrap_words(text, self.width, hanging)))


class HelpContext(_CONTEXT):  # type: ignore[misc]
    """A context whose help is written by `HelpPage`."""

    formatter_class = HelpPage


class WrappedCommand(TyperCommand):
    """A command with such a help page."""

    context_class = HelpContext


class WrappedGroup(TyperGroup):
    """A group with such a help page, which lists what its commands do in full."""

    context_class = HelpContext

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """List the commands, without cutting their descriptions."""
        rows = [(name, command.help or "") for name, command in self.commands.items() if not command.hidden]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


class CommandLine(typer.Typer):
    """A Typer app whose commands and groups have wrapped help pages."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"cls": WrappedGroup, "rich_markup_mode": None, "pretty_exceptions_enable": False} | options)

    def command(self, name: str | None = None, **options: Any) -> Callable[[Any], Any]:
        """Register a command; the arguments are those of Typer."""
        return super().command(name, **{"cls": WrappedCommand} | options)
