"""Search in the reader: matches are marked, and jumps continue in other rollouts."""

from dataclasses import replace
from typing import ClassVar

from textual import on
from textual.binding import Binding, BindingType

from cogtui.app.rendering.styles import Part
from cogtui.app.rollout.trace_data import EMPTY_VIEW, JudgeRunView
from cogtui.app.rollout.trace_facts import legend_parts
from cogtui.app.rollout.trace_text import TraceText
from cogtui.app.shell.dialogs import AskScreen
from cogtui.app.shell.list_query import ListQuery, parenthesise, quote_value
from cogtui.app.shell.screen_base import AppScreen
from cogtui.app.traces.reader.tokens import token_ranges
from cogtui.app.widgets.text_rows import TextRows
from cogtui.store import RolloutDetail, RolloutRow
from cogtui.store.query.snippets import find_all, phrases_of
from pipelines.wording import count_of


class SearchActions(AppScreen):
    """A screen with one trace of a list that marks the words the list was searched for."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("n", "next(1)", "Next rollout"),
        Binding("N", "next(-1)", "Previous place found, else previous rollout", show=False),
        Binding("slash", "search", "Search words, here and in the list", show=False),
        Binding("T", "tokens", "Token boundaries", show=False),
    ]

    list_query: ListQuery
    """The list, with the search."""
    original_query: ListQuery
    """The list as it was opened."""
    rollout: RolloutRow
    detail: RolloutDetail | None = None
    trace: JudgeRunView = EMPTY_VIEW
    _arriving = 0
    """Direction from which a search reached another rollout: 1 from before it, -1 from after it."""

    def show_rollout(self, rollout: RolloutRow) -> None:
        """Load another rollout."""
        raise NotImplementedError

    def action_neighbour(self, direction: int) -> None:
        """Go to the next or previous rollout of the list."""
        raise NotImplementedError

    def found_parts(self) -> list[Part]:
        """Return the number of matches for the legend; nothing without a search."""
        if not phrases_of(self.list_query.query().filter):
            return []
        return [(f"  {len(self.query_one(TraceText).ranges_of('found')):,} found (n N)", "match")]

    def show_legend(self) -> None:
        """Show the letters, names and counts of the behaviours."""
        self.query_one("#legend", TextRows).show(*legend_parts(self.trace, self.size.width, self.found_parts()))

    async def show_found(self, detail: RolloutDetail) -> None:
        """Mark the words that the list was searched for, and go to one if the search led here."""
        phrases = phrases_of(self.list_query.query().filter)
        if not phrases:
            return
        places = await self.fetch(self.context.work.call(lambda _: find_all(detail.completion, phrases)))
        if places is None or self.detail is not detail:
            return
        text = self.query_one(TraceText)
        text.show_layer("found", places)
        self.show_legend()
        if self._arriving and places:
            text.go_to_found(self._arriving, edge=True)
        self._arriving = 0

    def action_next(self, direction: int) -> None:
        """Go to the next match, here or in another rollout; without a search, to the next rollout."""
        if phrases_of(self.list_query.query().filter):
            self.query_one(TraceText).go_to_found(direction)
        else:
            self.action_neighbour(direction)

    @on(TraceText.NoFurtherMatch)
    def _not_found(self, event: TraceText.NoFurtherMatch) -> None:
        self._arriving = event.direction
        self.action_neighbour(event.direction)

    def action_search(self) -> None:
        """Ask for words to search; n and N then go from match to match, also in other rollouts of the list."""

        def asked(text: str | None) -> None:
            if text is not None and self.detail is not None:
                scope = self._searched_scope(text)
                self.list_query = replace(self.original_query, scope=scope)
                self._arriving = 1
                self.show_rollout(self.rollout)

        self.app.push_screen(AskScreen("Search which words?", wrong=_wrong_words), asked)

    def _searched_scope(self, text: str) -> str:
        scope = self.original_query.scope
        words = f"text:{quote_value(text.strip())}" if text.strip() else ""
        return f"{parenthesise(scope)} {words}".strip() if words else scope

    def action_tokens(self) -> None:
        """Underline every second token, or stop."""
        text = self.query_one(TraceText)
        if text.ranges_of("token"):
            text.show_layer("token", ())
        elif self.detail is not None:
            self.run_worker(self._show_tokens(self.detail), group="tokens", exclusive=True)

    async def _show_tokens(self, detail: RolloutDetail) -> None:
        workspace, key = self.context.workspace, detail.row.stage
        places = await self.fetch(self.context.work.call(lambda _: token_ranges(workspace, key, detail.completion)))
        if places is not None and self.detail is detail:
            self.query_one(TraceText).show_layer("token", places[1::2])
            self.show_message(
                f"{count_of(len(places), 'token')} as the run's tokenizer cuts this text; every second is underlined"
            )


def _wrong_words(text: str) -> str:
    if text.strip() and not any(char.isalnum() for char in text):
        return "signs are not searched; give a word or a number"
    return ""
