"""The launch screen: a recipe as a form, what it becomes, the same as a command, and the launch."""

import asyncio
import os
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.widgets import Input

from cogtui.app.launch.draft import LaunchDraft, problems_by_field
from cogtui.app.launch.fields import OPTION_PATHS, FormField
from cogtui.app.launch.form_view import FormView
from cogtui.app.launch.plan_rows import Rows, place_rows, plan_rows
from cogtui.app.launch.preview import Estimate, LaunchPreview, estimate, launch, preview_draft, read_form, scripts_of
from cogtui.app.rendering.text import printable_line
from cogtui.app.shell.opening import ShowExperiment
from cogtui.app.shell.screen_base import AppScreen
from cogtui.app.widgets.detail_pane import DetailPane, labelled_rows
from cogtui.app.widgets.line_view import LineView
from cogtui.app.widgets.popup_input import PopupInput
from cogtui.app.widgets.text_rows import TextRows
from jobs.slurm.types import SlurmPartition
from pipelines.errors import CogtuiError, InvalidInput
from pipelines.wording import count_of

_TYPING_S = 0.12
"""Pause in typing after which the plan is made again: planning a large matrix takes some tenths of a second."""
_KEYS = ("ANTHROPIC_API_KEY", "OPENAI_API_KEY")
_PANES = ("form", "plan")


class LaunchScreen(AppScreen):
    """Edits a draft and launches it.

    Args:
        draft: to begin with.
        remark: shown once, e.g. why a clone is of the snapshot.
    """

    MODE = "Experiments"
    HELP_TITLE = "Launch"
    FOOTER = ("enter", "ctrl+l")
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+l,L", "launch", "Launch"),
        Binding("r", "reset", "Reset"),
        Binding("a", "toggle_all", "All fields"),
        Binding("w", "toggle_pane", "Plan"),
        Binding("S", "show_scripts", "Scripts"),
        Binding("y", "copy_command", "Copy the command"),
    ]

    def __init__(self, draft: LaunchDraft, remark: str = "") -> None:
        super().__init__(f"launch › {draft.recipe.stem}")
        self.draft = draft
        self.problems: dict[str, str] = {}
        """What is wrong with changed fields, by dotted path."""
        self.other_problems: list[str] = []
        """What is wrong with the recipe besides."""
        self.preview: LaunchPreview | None = None
        """The plan of the draft; None until it is made, and while the draft is wrong."""
        self._remark = remark
        self._text: str | None = None
        self._fields: list[FormField] = []
        self._takes = ""
        self._estimate: Estimate | None = None
        self._refusal = ""
        self._shows_all = False
        self._launching = False
        self._edited: FormField | None = None
        self._before: str | None = None
        self._partitions: list[SlurmPartition] = []
        self._slurm_problem = ""

    def compose_body(self) -> ComposeResult:
        with Horizontal(classes="launching"):
            with Vertical(classes="panel", id="form-panel") as form:
                form.border_title = "Parameters"
                yield FormView()
                yield DetailPane("field-help")
            with Vertical(classes="panel", id="plan-panel") as plan:
                plan.border_title = "What it becomes"
                yield DetailPane("plan")
        with Vertical(classes="panel", id="command-panel") as command:
            command.border_title = "The same as a command"
            command.border_subtitle = "y copies"
            yield TextRows(("", ""), widget_id="command")
        yield PopupInput("new value; Enter accepts, Esc keeps the old one", "value")

    def on_mount(self) -> None:
        self.show_pane_class(_PANES, "form")
        self.query_one(FormView).focus()
        self.query_one("#plan", DetailPane).show_rows([[(" planning", "dim")]])
        self._plan_again()
        self.run_worker(self._ask_slurm(), group="slurm")
        if self._remark:
            self.show_message(self._remark)

    # The plan

    def _plan_again(self, *, after_s: float = 0.0) -> None:
        self._show_command()
        self.run_worker(self._plan(after_s), group="plan", exclusive=True)

    async def _plan(self, after_s: float) -> None:
        await asyncio.sleep(after_s)  # typing goes on: the next key cancels this worker
        draft, workspace = self.draft, self.context.workspace
        problems: dict[str, str] = {}
        others: list[str] = []
        found = None
        try:
            form = await self.context.work.call(lambda _: read_form(draft))
            self._check_attached()
            if form.text != self._text:
                if self._text is not None:
                    self.show_message("the recipe changed on disk; the form shows it as it is now")
                self._text, self._fields, self._takes = form
                self._show_form()
            found = await self.context.work.call(lambda _: preview_draft(draft, workspace))
        except InvalidInput as error:
            problems, others = problems_by_field(error, draft)
        except (CogtuiError, OSError) as error:
            others = str(error).splitlines()
        self._check_attached()
        self.preview, self.problems, self.other_problems = found, problems, others
        self._estimate = None if found is None else estimate(found, self.context.snapshot.states)
        self._show_form()
        self._show_plan()

    def _show_form(self) -> None:
        fields = [
            field
            for field in self._fields
            if self._shows_all or field.recipe or self.draft.value_of(field.name) is not None or field == self._edited
        ]
        slurm = self.draft.cluster == "slurm"
        shown = {field.path for field in fields}
        fields = [
            field
            for field in self._fields
            if field.path in shown
            or (field.path[:2] == ("resources", "default") and (slurm or field.path[2] in ("gpus", "cpus")))
        ]
        self.query_one(FormView).show_fields(fields, self.draft, self.problems)
        changed, wrong = len(self.draft.changes), len(self.problems) + len(self.other_problems)
        panel = self.query_one("#form-panel")
        panel.border_subtitle = ", ".join(
            part
            for part in (
                f"{changed} changed" if changed else "",
                f"{wrong} wrong" if wrong else "",
                "" if self._shows_all else f"{len(self._fields) - len(fields)} more: a",
            )
            if part
        )
        self._show_field()

    def _show_plan(self) -> None:
        self.query_one("#plan", DetailPane).show_with(self._plan_rows)
        panel = self.query_one("#plan-panel")
        if self.preview is None:
            panel.border_title = "What it becomes"
        else:
            cells, stages = len(self.preview.plan.cells), len({stage.name for stage in self.preview.plan.stages})
            panel.border_title = f"What it becomes: {count_of(cells, 'cell')} × {count_of(stages, 'stage')}"

    def _plan_rows(self, width: int) -> Rows:
        rows: Rows = []
        if self._refusal:
            rows += [[("Not launched:", "bad")], *labelled_rows("", self._refusal, width, indent=2, limit=40), []]
        for name, problem in self.problems.items():
            rows += labelled_rows("wrong", f"{name}: {problem}", width, "bad", indent=8)
        for problem in self.other_problems:
            rows += labelled_rows("wrong", problem, width, "bad", indent=8)
        if self.preview is not None:
            rows += plan_rows(self.preview, self._estimate, self._takes, width)
        elif not rows:
            rows += [[("planning", "dim")]]
        keys = ", ".join(f"{name} {'set' if os.environ.get(name) else 'not set'}" for name in _KEYS)
        return [*rows, [], *place_rows(self.draft.cluster, self._partitions, self._slurm_problem, keys, width)]

    def _show_command(self) -> None:
        command = printable_line(self.draft.command(self.context.workspace))
        self.query_one("#command", TextRows).show(("$ ", "dim"), (command, ""))

    async def _ask_slurm(self) -> None:
        from jobs.slurm import client

        try:
            found = await self.context.control.call(lambda _: client.partitions() if client.is_installed() else None)
        except client.SlurmCommandError as error:
            found, self._slurm_problem = [], str(error)
        self._check_attached()
        if found is None:
            self._slurm_problem = "Slurm is not installed on this machine"
        self._partitions = found or []
        self._show_plan()

    # Editing

    @on(LineView.CursorMoved)
    def _show_field(self) -> None:
        self.query_one("#field-help", DetailPane).show_with(self._field_rows)

    def _field_rows(self, width: int) -> Rows:
        field = self.query_one(FormView).field
        if field is None:
            return []
        problem = self.problems.get(field.name, "")
        about = f"{field.type}; {f'default {field.default}' if field.default else 'required'}"
        rows: Rows = [[(printable_line(field.name, 100), "key"), (f"  {printable_line(about, 200)}", "dim")]]
        if problem:
            rows += labelled_rows("", problem, width, "bad", indent=0, limit=2)
        return rows + labelled_rows("", field.help, width, indent=0, limit=3)

    @on(LineView.LineSelected)
    def _edit(self) -> None:
        field = self.query_one(FormView).field
        if field is None:
            return
        if field.path in OPTION_PATHS:
            self._cycle(field, 1)
            return
        self._edited, self._before = field, self.draft.value_of(field.name)
        self.query_one(PopupInput).open(field.value if self._before is None else self._before)

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        if self._edited is not None and self.query_one(PopupInput).has_class("open"):
            self._set(self._edited, event.value, after_s=_TYPING_S)

    @on(Input.Submitted)
    def _entered(self, event: Input.Submitted) -> None:
        self.query_one(PopupInput).close()
        if self._edited is not None:
            self._set(self._edited, event.value)
        self._edited = None
        self.query_one(FormView).focus()

    @on(PopupInput.InputCancelled)
    def _cancelled(self) -> None:
        if self._edited is not None:
            self._change(self._edited.name, self._before)
        self._edited = None
        self.query_one(FormView).focus()

    @on(FormView.ChoiceCycled)
    def _cycled(self, event: FormView.ChoiceCycled) -> None:
        self._cycle(event.form_field, event.direction)

    def _cycle(self, field: FormField, direction: int) -> None:
        now = self.draft.value_of(field.name) or field.value
        index = field.choices.index(now) + direction if now in field.choices else 0
        self._set(field, field.choices[index % len(field.choices)])

    def _set(self, field: FormField, text: str, *, after_s: float = 0.0) -> None:
        """Change a field; its own value is no change."""
        wanted = text.strip()
        self._change(field.name, None if wanted == field.value else wanted, after_s=after_s)

    def _change(self, name: str, text: str | None, *, after_s: float = 0.0) -> None:
        if self.draft.value_of(name) != text:
            self.draft = self.draft.changed(name, text)
            self._refusal = ""
            self.preview = None
            self._show_form()
            self._plan_again(after_s=after_s)

    def action_reset(self) -> None:
        """Give the field the recipe's value again."""
        field = self.query_one(FormView).field
        if field is not None:
            self._change(field.name, None)

    def action_toggle_all(self) -> None:
        """Show every field of the stages' configs, or those of the recipe."""
        self._shows_all = not self._shows_all
        self._show_form()

    def action_toggle_pane(self) -> None:
        """Show the plan or the form, where there is no room for both."""
        self.show_pane_class(_PANES, "form" if self.has_class("-pane-plan") else "plan")
        (self.query_one("#plan") if self.has_class("-pane-plan") else self.query_one(FormView)).focus()

    # What it does

    def action_copy_command(self) -> None:
        """Copy the command that launches the same."""
        self.copy(self.draft.command(self.context.workspace), "the command")

    def action_show_scripts(self) -> None:
        """Show the exact sbatch scripts, or the local command lines, of the stages to start."""
        self.run_worker(self._show_scripts(), group="scripts", exclusive=True)

    async def _show_scripts(self) -> None:
        found, draft, workspace = self.preview, self.draft, self.context.workspace
        if found is None:
            self.show_message("correct what is wrong first; there is no plan yet", bad=True)
            return
        scripts = await self.fetch(self.context.work.call(lambda _: scripts_of(found, draft, workspace)))
        if scripts is not None:
            from cogtui.app.launch.scripts_screen import ScriptsScreen

            self.app.push_screen(ScriptsScreen(draft.cluster, [(stage.title, text) for stage, text in scripts]))

    def action_launch(self) -> None:
        """Start the stages, and show the experiment's matrix."""
        if self._launching:
            self.show_message("it is being launched")
        elif self.problems or self.other_problems:
            self.show_message("correct what is wrong first", bad=True)
        elif self.preview is None or self._text is None:
            self.show_message("the plan is being made; launch when it is there")
        else:
            self._launching = True
            self._refusal = ""
            self.show_message("launching")
            self.run_worker(self._launch(self._text), group="launch")

    async def _launch(self, text: str) -> None:
        draft, workspace = self.draft, self.context.workspace
        try:
            name, submissions = await self.context.control.call(lambda _: launch(draft, workspace, text))
        except (CogtuiError, OSError) as error:
            self._check_attached()
            self._refusal = str(error)
            self.show_pane_class(_PANES, "plan")
            self._plan_again()
            return
        finally:
            self._launching = False
        self._check_attached()
        started = sum(submission.action == "submitted" for submission in submissions)
        self.show_message(
            f"launched {name}: {count_of(started, 'stage')} started"
            if started
            else f"{name}: everything is there or under way"
        )
        self.post_message(ShowExperiment(self, name))
