"""Opens screens for features: the handlers of the messages in `shell/opening`, and the choice of a recipe."""

from pathlib import Path

from textual import on
from textual.app import App

from cogtui.app.experiments.screen import ExperimentsScreen
from cogtui.app.mode_screens import freeze_garbage_collector
from cogtui.app.shell.context import Context
from cogtui.app.shell.opening import (
    OpenAdjudication,
    OpenAnnotation,
    OpenComparison,
    OpenLaunch,
    OpenReader,
    OpenRolloutList,
    PrepareReaders,
    ShowExperiment,
)
from cogtui.app.shell.screen_base import AppScreen
from cogtui.app.shell.screen_pool import ScreenPool
from pipelines.errors import InvalidInput
from pipelines.files import expand_user


class ScreenOpener(App[None]):
    """The part of the app that knows all screens, so that features need not know each other."""

    context: Context
    screen_pool: ScreenPool

    def poll(self) -> None:
        """Read the workspace and the index in the background."""
        raise NotImplementedError

    @on(OpenReader)
    async def _open_trace(self, message: OpenReader) -> None:
        from cogtui.app.traces.reader.screen import TraceScreen

        opener = message.opener
        if opener is self.screen:
            await self.screen_pool.open(
                TraceScreen,
                lambda screen: screen.read(opener.mode, message.list_query, message.rollout, message.on_close),
            )

    @on(OpenComparison)
    async def _open_compare(self, message: OpenComparison) -> None:
        from cogtui.app.traces.compare.screen import CompareScreen

        opener = message.opener
        if opener is self.screen:
            await self.screen_pool.open(
                CompareScreen, lambda screen: screen.read(opener.mode, message.left, message.right)
            )

    @on(OpenRolloutList)
    def _open_traces(self, message: OpenRolloutList) -> None:
        from cogtui.app.traces.list.screen import TracesScreen

        if message.opener is self.screen:
            self.push_screen(TracesScreen(mode=message.opener.mode, path=message.path, scope=message.scope))

    @on(OpenAnnotation)
    def _open_annotation(self, message: OpenAnnotation) -> None:
        from cogtui.app.annotation.screen import AnnotateScreen

        opener = message.opener
        if opener is self.screen:
            self.push_screen(
                AnnotateScreen(
                    opener.mode, message.order, message.rollout, judge=message.judge_run, on_close=message.on_close
                )
            )

    @on(OpenAdjudication)
    def _open_adjudication(self, message: OpenAdjudication) -> None:
        from cogtui.app.annotation.adjudication_screen import AdjudicateScreen

        if message.opener is self.screen:
            self.push_screen(AdjudicateScreen(message.opener.mode, message.ids, message.rollout, message.on_close))

    def action_launch(self) -> None:
        """Choose a recipe, then open the launch screen."""
        if isinstance(self.screen, AppScreen):
            self.run_worker(self._choose_recipe(self.screen), group="launch", exclusive=True)

    async def _choose_recipe(self, opener: AppScreen) -> None:
        from cogtui.app.launch.choice import recipe_options
        from cogtui.app.shell.dialogs import AskScreen, ChoiceScreen

        experiments = self.context.snapshot.experiments
        options = await opener.fetch(self.context.work.call(lambda _: recipe_options(experiments)))
        if options is None or self.screen is not opener:
            return

        def named(path: str | None) -> None:
            if path:
                self.post_message(OpenLaunch(opener, Path(path).expanduser().absolute()))

        def chosen(index: int | None) -> None:
            option = None if index is None else options[index]
            if option is None:
                return
            if option.recipe is None and option.experiment is None:
                self.push_screen(AskScreen("Which recipe? The path of a TOML file.", wrong=_wrong_file), named)
            else:
                self.post_message(OpenLaunch(opener, option.recipe, option.experiment))

        self.push_screen(ChoiceScreen("Which recipe?", [option.label for option in options]), chosen)

    @on(OpenLaunch)
    async def _open_launch(self, message: OpenLaunch) -> None:
        from cogtui.app.launch.draft import LaunchDraft
        from cogtui.app.launch.preview import recipe_of
        from cogtui.app.launch.screen import LaunchScreen

        opener, experiment, recipe = message.opener, message.experiment, message.recipe
        if opener is not self.screen:
            return
        if experiment is not None:
            workspace = self.context.workspace
            found = await opener.fetch(self.context.work.call(lambda _: recipe_of(experiment, workspace)))
            if found is not None and opener is self.screen:
                self.push_screen(LaunchScreen(*found))
        elif recipe is not None:
            self.push_screen(LaunchScreen(LaunchDraft(recipe)))

    @on(ShowExperiment)
    def _show_experiment(self, message: ShowExperiment) -> None:
        if message.opener is not self.screen:
            return
        self.pop_screen()
        if self.current_mode != "Experiments":
            self.switch_mode("Experiments")
        while len(self.screen_stack) > 1:
            self.pop_screen()
        if isinstance(self.screen, ExperimentsScreen):
            self.screen.select_experiment(message.name)
        self.poll()

    @on(PrepareReaders)
    async def _prepare_reading(self) -> None:
        from cogtui.app.traces.compare.screen import CompareScreen
        from cogtui.app.traces.reader.screen import TraceScreen

        if await self.screen_pool.prepare(TraceScreen, CompareScreen):
            freeze_garbage_collector()  # once: objects of screens opened later must stay collectable


def _wrong_file(text: str) -> str:
    try:
        return "" if expand_user(Path(text)).is_file() else f"there is no file {text}"
    except InvalidInput as error:
        return error.summary
