"""A titled border around a part of a screen; the one that has the keys is coloured."""

from textual.containers import Vertical
from textual.widget import Widget

from cogtui.app.rendering.text import printable_line


class Panel(Vertical):
    """A container with a title above and, at the right below, the count, the scope, or the key that leads on.

    Args:
        children: what is in it.
        title: what the panel answers.
        subtitle: the count, scope or key.
        panel_id: for CSS and queries.
        text: whether its content is text, which keeps a space from the border; lists have a column for their cursor.
    """

    def __init__(
        self, *children: Widget, title: str = "", subtitle: str = "", panel_id: str | None = None, text: bool = False
    ) -> None:
        super().__init__(*children, id=panel_id, classes="panel -text" if text else "panel")
        self.show_title(title)
        self.show_subtitle(subtitle)

    def show_title(self, title: str) -> None:
        """Show another title; text of users and models is shown, never interpreted."""
        if (escaped := escape_title(title)) != self.border_title:  # Textual repaints also for an equal one
            self.border_title = escaped

    def show_subtitle(self, subtitle: str) -> None:
        """Show another subtitle."""
        if (escaped := escape_title(subtitle)) != self.border_subtitle:
            self.border_subtitle = escaped


def escape_title(text: str) -> str:
    """Escape a text of a user or a model for the title of a border."""
    # Textual reads markup in titles: a backslash before each bracket keeps it a bracket.
    return printable_line(text, 200).replace("\\", "\\\\").replace("[", "\\[")
