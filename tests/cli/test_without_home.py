"""A user without an account and HOME, as in a container, and a `~USER` that does not exist."""

import os
from pathlib import Path

import pytest

from cogtui import preferences
from cogtui.app.widgets.bars import _without_home
from cogtui.store.db.location import cache_folder
from cogtui.store.importing.opening import keep_user_data
from jobs.recipe.resources import Resources
from jobs.user import home_folder, user_name
from jobs.workspace import Workspace
from pipelines.errors import InvalidInput


@pytest.fixture
def homeless(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_account(*_: object) -> None:
        raise KeyError("no such user")

    for name in ("HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "COGTUI_CONFIG", "COGTUI_CACHE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("pwd.getpwuid", no_account)


@pytest.mark.usefixtures("homeless")
def test_a_user_without_an_account_can_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shared = tmp_path / "cogtui-own"
    monkeypatch.setattr("cogtui.store.db.location.shared_roots", lambda: iter([shared]))
    assert home_folder() is None
    assert user_name() == str(os.getuid())
    assert _without_home("/a/b") == "/a/b"
    assert preferences.read_preferences() == {}
    with pytest.raises(OSError, match="Not a directory"):
        preferences.remember("theme", "dark")
    assert cache_folder("opened") == shared / "opened"
    workspace = Workspace(tmp_path / "w")
    workspace.create()
    keep_user_data(workspace, "key")
    assert not (workspace.path / "notes").is_symlink()


def test_an_unknown_user_in_a_path_is_named() -> None:
    with pytest.raises(InvalidInput, match="~no_such_user/w: there is no home folder for ~no_such_user"):
        Workspace.locate(Path("~no_such_user/w"))
    with pytest.raises(ValueError, match="there is no home folder for ~no_such_user"):
        Resources.model_validate({"python": "~no_such_user/python"})
