"""The annotation screen: every change is saved at once, and judges' spans are never overwritten."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container

from cogtui.app.annotation.annotation_writer import AnnotationWriter
from cogtui.app.annotation.boundaries import TextSelection
from cogtui.app.annotation.draft import AnnotationDraft, DraftHistory, Flag, InvalidEdit, SpanKey, span_key
from cogtui.app.annotation.proposals import proposal_sources
from cogtui.app.annotation.status_rows import DraftList, count_parts, head_parts, hint_parts
from cogtui.app.annotation.text_view import AnnotateText
from cogtui.app.rollout.trace_data import RulesJudgement, rules_judgement
from cogtui.app.rollout.trace_facts import problem_rows
from cogtui.app.rollout.trace_text import TraceText
from cogtui.app.shell.chords import ChordScreen
from cogtui.app.shell.dialogs import ChoiceScreen, ConfirmScreen
from cogtui.app.shell.trace_order import TraceOrder
from cogtui.app.widgets.detail_pane import DetailPane
from cogtui.app.widgets.panel import Panel
from cogtui.app.widgets.text_rows import TextRows
from cogtui.store import RolloutDetail, RolloutRow, Store
from cogtui.store.user_data.annotations import HumanAnnotation, human_judge_run, new_annotation
from cogtui.store.values.import_facts import MessagePart, text_parts
from jobs.append_log import identity
from pipelines.behaviors.sets.registered import BEHAVIOR_LETTERS, BEHAVIORS, behavior_of_letter
from pipelines.records import Behavior, LabelledSpan
from pipelines.wording import count_of

_PANES = ("none", "spans", "problem")

_OTHER_KEYS = frozenset("WRDUJA")
"""Capital letters with another meaning here: a behaviour with one of them is only taken over from a judge."""
_LABELS: dict[str, str] = {}
"""Keys that label, with the name of the first behaviour that has the letter."""
for _behavior, _letter in BEHAVIOR_LETTERS.items():
    if _letter not in _OTHER_KEYS:
        _LABELS.setdefault(_letter, _behavior.replace("_", " ").capitalize())


class AnnotateScreen(ChordScreen):
    """A trace with the annotator's own spans.

    Args:
        mode: title of the mode it is opened in.
        order: which trace comes next.
        rollout: the trace opened.
        judge: id of the judge run seen before, offered first to start from.
        on_close: called with the last trace and the person's judge run when the screen is left.
    """

    HELP_TITLE = "Annotate"
    PATH = "annotate"
    FINISHED = "done"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter,a", "accept", "Accept, next", key_display="Enter"),
        Binding("x", "remove", "Reject, delete"),
        Binding("space", "select", "Select"),
        Binding("e", "edges", "Boundaries"),
        Binding("o", "other_end", "Other end of the selection", show=False),
        *(
            Binding(letter, f"label('{letter}')", f"{name}: add, relabel", show=False)
            for letter, name in _LABELS.items()
        ),
        Binding("W", "flag('weak')", "Weak, or not", show=False),
        Binding("R", "flag('repeat')", "Repeat, or not", show=False),
        Binding("D", "done", "Done"),
        Binding("u", "undo", "Undo"),
        Binding("U,ctrl+r", "redo", "Redo", show=False),
        Binding("J", "propose", "Start from a judge's spans", show=False),
        Binding("A", "accept_all", "Accept all that is open", show=False),
        Binding("n", "neighbour(1)", "Next trace", show=False),
        Binding("p", "neighbour(-1)", "Previous trace", show=False),
        Binding("i", "pane", "Spans, problem", show=False),
    ]

    def __init__(
        self,
        mode: str,
        order: TraceOrder,
        rollout: RolloutRow,
        *,
        judge: str = "",
        on_close: Callable[[RolloutRow, str], None] | None = None,
    ) -> None:
        super().__init__(self.PATH, mode=mode)
        self.add_class(f"-pane-{_PANES[0]}", update=False)
        self.order = order
        self.rollout = rollout
        self.annotator = identity()
        self.detail: RolloutDetail | None = None
        self.history = DraftHistory(AnnotationDraft(""))
        self.rules: RulesJudgement | None = None
        self._judge = judge
        self._on_close = on_close
        self._saving: AnnotationWriter | None = None
        self._pane = 0

    @property
    def draft(self) -> AnnotationDraft:
        """The current annotation."""
        return self.history.draft

    @property
    def text(self) -> AnnotateText:
        """The text view."""
        return self.query_one(AnnotateText)

    def compose_body(self) -> ComposeResult:
        head = TextRows(widget_id="head")
        head.show_rows([[(" reading", "dim")], []])
        yield head
        yield TextRows(widget_id="counts")
        yield TextRows(widget_id="hint")
        with Container(classes="reading"):
            with Panel(title="Completion", panel_id="text-panel"):
                yield AnnotateText()
            with Container(classes="beside"):
                with Panel(title="Your spans", panel_id="spans-panel"):
                    yield DraftList()
                with Panel(title="Problem", panel_id="problem-panel", text=True):
                    yield DetailPane("problem")

    def on_mount(self) -> None:
        self.text.focus()
        self._show_pane()
        self.show_rollout(self.rollout)

    def show_rollout(self, rollout: RolloutRow) -> None:
        """Load another trace with this annotator's annotation."""
        self.run_worker(self._load(rollout), group="load", exclusive=True)

    def read_trace(self, store: Store, rollout: RolloutRow) -> tuple[RolloutDetail, HumanAnnotation | None]:
        """Read a trace and this annotator's annotation; runs in the store's thread."""
        return store.rollout_of(rollout), store.human(rollout.id, self.annotator)

    @property
    def byline(self) -> tuple[str, str]:
        """A label and a name, for the header: who annotates."""
        return "annotated by", self.annotator

    @property
    def record_fields(self) -> Mapping[str, Any]:
        """Further fields of every record of this screen."""
        return {}

    def first_draft(self, saved: HumanAnnotation | None, text: str) -> AnnotationDraft:
        """Return the draft to begin with."""
        return AnnotationDraft(text) if saved is None else AnnotationDraft.of(saved, text)

    def proposed_by(self, span: LabelledSpan) -> str:
        """Return whose span it is, where that is shown."""
        return ""

    def accepted(self, draft: AnnotationDraft, span: LabelledSpan) -> AnnotationDraft:
        """Return the draft with a proposal accepted."""
        return draft.accept(span)

    async def _load(self, rollout: RolloutRow) -> None:
        store = self.context.store
        found = await self.fetch(store.call(lambda opened: self.read_trace(opened, rollout)))
        if found is None:
            self.query_one("#head", TextRows).show_rows([[(" this rollout cannot be read", "bad")], []])
            return
        detail, saved = found
        self.rollout, self.detail, self.rules = rollout, detail, None
        if saved is not None and saved.text_sha256 != new_annotation(rollout.id, detail.completion, "x").text_sha256:
            self.show_message(
                "your annotation belongs to another text of this rollout; its spans are not shown", bad=True
            )
            self.history = DraftHistory(AnnotationDraft(detail.completion))
        else:
            self.history = DraftHistory(self.first_draft(saved, detail.completion))
        self._saving = AnnotationWriter(store, rollout.id, self.annotator, saved, self._written, self.record_fields)
        self._show(stay=False)
        if self.text.spans:
            self.text.go_to_span(self.text.next_open(0) or 0)
        self.rules = await self.fetch(self.context.work.call(lambda _: rules_judgement(detail)))
        self._show(stay=True)
        order = self.order
        place = await self.fetch(store.call(lambda opened: order.position_text(opened, rollout)))
        self.query_one("#head", TextRows).show_rows(head_parts(detail.row, self.byline, place or ""))

    # Display

    def _show(self, *, stay: bool = True) -> None:
        if self.detail is None:
            return
        marks = [(fact.start, fact.end) for fact in self.rules.facts] if self.rules is not None else []
        self.text.show_draft(self.draft, marks, parts=self._parts(), stay=stay)
        if not stay:
            self.query_one("#head", TextRows).show_rows(head_parts(self.detail.row, self.byline, ""))
        detail, now = self.detail, self.rules
        self.query_one("#problem", DetailPane).show_with(lambda width: problem_rows(detail, None, now, width))
        self._show_status()
        self._show_hint()

    def _show_status(self) -> None:
        self.query_one("#counts", TextRows).show(
            *count_parts(self.draft, "" if self._saving is None else self._saving.state)
        )

    @on(AnnotateText.CaretMoved)
    def _show_hint(self) -> None:
        text = self.text
        names = "" if text.span is None else self.proposed_by(text.span)
        self.query_one("#hint", TextRows).show(*hint_parts(self.draft, text.span, text.selection, names))
        self.query_one(DraftList).show_draft(self.draft, text.spans, text.current, self.proposed_by)

    # Edits

    def change(self, make: Callable[[AnnotationDraft], AnnotationDraft], select_key: SpanKey | None = None) -> bool:
        """Change the draft and save it; show the reason if the edit is invalid.

        Args:
            make: from the draft to the next one.
            hold: place of the span to be on afterwards.
        """
        if self.detail is None:
            return False
        try:
            changed = self.history.put(make(self.draft))
        except InvalidEdit as error:
            self.show_message(str(error), bad=True)
            return False
        self.text.select(None)
        if changed:
            self._save()
        self._show()
        if select_key is not None:
            self.text.select_key(select_key)
        return changed

    @property
    def writing(self) -> bool:
        """Whether a write is in progress."""
        return self._saving is not None and self._saving.writing

    @property
    def unsaved(self) -> bool:
        """Whether the last write failed."""
        return self._saving is not None and self._saving.failed

    def _save(self) -> None:
        assert self._saving is not None
        self._saving.save(self.draft)

    def _written(self) -> None:
        if self.is_attached and self.query(AnnotateText):
            self._show_status()

    def action_accept(self) -> None:
        """Apply the new boundaries, or accept the proposal and go to the next one."""
        text, chosen, span = self.text, self.text.selection, self.text.span
        if chosen is not None:
            if chosen.origin is None:
                self.show_message("which behaviour? V B S or C")
            else:
                self._apply_selection(chosen, chosen.origin, chosen.origin.behavior)
        elif span is None:
            self._go_to_next_open()
        elif self.draft.is_open(span):
            if self.change(lambda draft: self.accepted(draft, span)):
                self._go_to_next_open()
        elif not self._go_to_next_open():
            self.show_message(f"this {BEHAVIOR_LETTERS[span.behavior]} is already yours; no proposal is open")
        text.focus()

    def _go_to_next_open(self) -> bool:
        index = self.text.next_open(self.text.caret)
        if index is not None:
            self.text.go_to_span(index)
        return index is not None

    def _apply_selection(self, chosen: TextSelection, origin: LabelledSpan, behavior: Behavior) -> None:
        start, end = chosen.start, chosen.end
        self.change(lambda draft: draft.change(origin, start, end, behavior), (behavior, start, end))

    def action_remove(self) -> None:
        """Reject the proposal or delete the annotator's span, then go to the next proposal."""
        span = self.text.span
        if span is None:
            self.show_message("no span here")
        elif self.change(lambda draft: draft.remove(span)) and self.draft.open:
            self._go_to_next_open()

    def action_accept_all(self) -> None:
        """Accept all open proposals."""
        if not self.draft.open:
            self.show_message("no proposal is open")
        elif self.change(AnnotationDraft.accept_all) and self.draft.open:
            self.show_message(f"{count_of(len(self.draft.open), 'proposal')} overlapping your spans stay open")

    def action_label(self, letter: str) -> None:
        """Label the selection, or relabel the span, with the behaviour of that letter."""
        behavior = behavior_of_letter((*self.draft.behaviors, *BEHAVIORS), letter)
        assert behavior is not None  # keys are bound to letters of behaviours
        chosen, span = self.text.selection, self.text.span
        if chosen is not None and chosen.origin is not None:
            self._apply_selection(chosen, chosen.origin, behavior)
        elif chosen is not None:
            start, end = chosen.start, chosen.end
            self.change(lambda draft: draft.add(start, end, behavior), (behavior, start, end))
        elif span is not None:
            _, start, end = span_key(span)
            self.change(lambda draft: draft.relabel(span, behavior), (behavior, start, end))
        else:
            self.show_message("no span here: Space starts a selection, which V B S C then labels")

    def action_flag(self, flag: Flag) -> None:
        """Mark the span as weak or repeated, or clear the flag."""
        span = self.text.span
        if span is None:
            self.show_message("no span here")
        else:
            self.change(lambda draft: draft.toggle(span, flag), span_key(span))

    def action_select(self) -> None:
        """Start a selection at the caret, or ends it."""
        text = self.text
        if text.selection is None and self.draft.text:
            text.select(TextSelection(text.caret, text.caret + 1))
        else:
            text.select(None)

    def action_edges(self) -> None:
        """Move the boundaries of the span with the selection's keys; Enter applies them."""
        span = self.text.span
        if span is None:
            self.show_message("no span here: Space starts a new one")
        else:
            _, start, end = span_key(span)
            self.text.select(TextSelection(start, end, "end", span))

    def action_other_end(self) -> None:
        """Move the other end of the selection from now on."""
        if self.text.selection is not None:
            self.text.select(self.text.selection.swapped())

    def action_undo(self) -> None:
        """Undo the last change."""
        self._after_history_move(self.history.undo(), "nothing to undo here")

    def action_redo(self) -> None:
        """Redo the last undone change."""
        self._after_history_move(self.history.redo(), "nothing to redo here")

    def _after_history_move(self, changed: bool, otherwise: str) -> None:
        if changed:
            self.text.select(None)
            self._save()
            self._show()
        else:
            self.show_message(otherwise)

    def action_done(self) -> None:
        """Finish the trace (behaviours without a span count as zero), or reopen it."""
        if self.draft.done:
            self.change(AnnotationDraft.reopen)
        elif not self.draft.open:
            if self.change(AnnotationDraft.finish):
                self.show_message(f"{self.FINISHED}: behaviours without a span count as zero; n goes to the next trace")
        else:
            ends: list[Callable[[AnnotationDraft], AnnotationDraft]] = [
                AnnotationDraft.accept_all,
                AnnotationDraft.reject_all,
            ]

            def chosen(index: int | None) -> None:
                if index:
                    decide = ends[index - 1]
                    self.change(lambda draft: decide(draft).finish())

            question = f"{count_of(len(self.draft.open), 'proposal')} not decided"
            self.app.push_screen(
                ChoiceScreen(question, ["go on deciding", "accept them; done", "reject them; done"]), chosen
            )

    def action_propose(self) -> None:
        """Ask for the judge whose spans to start from."""
        if self.detail is None:
            return
        offered = proposal_sources(self.detail, self.rules, self.annotator)
        if not offered:
            self.show_message("no judge has seen this trace")
            return
        first = next((number for number, one in enumerate(offered) if one.basis == self._judge), 0)

        def chosen(index: int | None) -> None:
            if index is None:
                return
            wanted = offered[index]
            self.change(lambda draft: draft.propose(wanted.spans, wanted.basis))
            if not self._go_to_next_open():
                self.show_message(f"{wanted.name} has no spans that are not decided yet")

        names = [one.name for one in offered]
        self.app.push_screen(ChoiceScreen("Start from whose spans?", names, first), chosen)

    # Movement

    def jump(self, direction: int, letter: str) -> None:
        self.text.action_jump(direction, letter)

    def _parts(self) -> Sequence[MessagePart]:
        return () if self.detail is None else text_parts(self.detail.meta, len(self.detail.completion))

    @on(TraceText.FoldingChanged)
    def _folded(self, event: TraceText.FoldingChanged) -> None:
        self.show_message(event.describe(self._parts()))

    @on(TraceText.NoFurtherSpan)
    def _no_more(self, event: TraceText.NoFurtherSpan) -> None:
        name = event.behavior.replace("_", " ") if event.behavior else "span"
        self.show_message(f"no {name} further {'below' if event.direction > 0 else 'above'}")

    def action_neighbour(self, direction: int) -> None:
        """Go to the next or previous trace."""
        self._unless_unsaved(lambda: self.run_worker(self._go(direction), group="go", exclusive=True))

    async def _go(self, direction: int) -> None:
        order, here = self.order, self.rollout
        row = await self.fetch(self.context.store.call(lambda store: order.neighbour(store, here, direction)))
        if row is None:
            self.show_message("that was the last trace" if direction > 0 else "this is the first trace")
        else:
            self.show_rollout(row)

    def action_pane(self) -> None:
        """Switch the narrow screen between spans, problem and neither; a wide screen always shows both."""
        self._pane = (self._pane + 1) % len(_PANES)
        self._show_pane()

    def _show_pane(self) -> None:
        self.show_pane_class(_PANES, _PANES[self._pane])

    def action_up(self) -> None:
        """Cancel the selection, or close the screen."""
        if self.text.selection is not None:
            self.text.select(None)
        else:
            self._unless_unsaved(self._leave)

    def _leave(self) -> None:
        on_close, rollout = self._on_close, self.rollout
        super().action_up()
        if on_close is not None:
            on_close(rollout, human_judge_run(self.annotator).id)

    def _unless_unsaved(self, go: Callable[[], object]) -> None:
        """Continue, but ask first if an unsaved change would be lost."""
        saving = self._saving
        if saving is None or not saving.failed:
            go()
            return

        def answered(yes: bool | None) -> None:
            if yes:
                saving.state = ""
                go()

        self.app.push_screen(ConfirmScreen("The last change is not saved. Leave it so?", [saving.state]), answered)
