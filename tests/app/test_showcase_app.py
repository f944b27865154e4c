"""The showcase in the app: its rollouts at once, without the jobs."""

from pathlib import Path

import pytest

from cogtui.app.main import SHOWCASE_MODES
from cogtui.app.traces.list.screen import TracesScreen
from cogtui.store.showcase import unpack_showcase
from tests.app.driving import running


async def test_it_opens_on_the_rollouts_and_offers_no_jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COGTUI_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    showcase = unpack_showcase()
    async with running(showcase.workspace, modes=SHOWCASE_MODES) as (app, _):
        assert isinstance(app.screen, TracesScreen)
        assert app.screen.total == showcase.card.rollouts
        assert "Jobs" not in [title for _, title in app.modes_shown]
        assert [experiment.name for experiment in app.context.snapshot.experiments] == [showcase.card.experiment]
