"""Snapshots of what was started."""

import subprocess
from pathlib import Path

from jobs.planning.code_version import GitState, code_version, git_state
from jobs.planning.experiments import latest_experiments, load_experiments, record_experiment
from pipelines.files import read_json
from tests.jobs.planning.recipes import RECIPE, plan, workspace


def test_a_snapshot_holds_what_is_needed_to_know_what_ran(tmp_path: Path) -> None:
    found = plan(tmp_path, overrides=("stages.ppo.steps=5",))
    written = record_experiment(found, workspace(tmp_path))
    (path,) = (tmp_path / "ws" / "experiments" / "tiny").iterdir()
    assert path.suffix == ".json"
    raw = read_json(path)
    assert raw["recipe"] == RECIPE
    assert raw["recipe_path"] == str(tmp_path / "tiny.toml")
    assert raw["overrides"] == ["stages.ppo.steps=5"]
    assert raw["cells"][0]["labels"] == {"condition": "none", "seed": 1}
    assert raw["cells"][0]["stages"]["problems"] == found.stages[0].key
    assert {"cogtui", "pydantic"} <= set(raw["packages"])
    assert load_experiments(workspace(tmp_path)) == [written]
    assert written.cells == found.cells


def test_every_start_gets_its_own_even_within_a_moment(tmp_path: Path) -> None:
    found = plan(tmp_path)
    written = [record_experiment(found, workspace(tmp_path)) for _ in range(5)]
    assert load_experiments(workspace(tmp_path)) == written
    other = record_experiment(plan(tmp_path, overrides=("name=other",)), workspace(tmp_path))
    assert latest_experiments(workspace(tmp_path)) == {"tiny": written[-1], "other": other}


def test_same_time_never_replaces(tmp_path: Path) -> None:
    from jobs.planning.experiments import _write_new

    experiment = record_experiment(plan(tmp_path), workspace(tmp_path))
    for _ in range(3):
        _write_new(tmp_path / "ws" / "experiments" / "tiny", experiment)
    assert len(load_experiments(workspace(tmp_path))) == 4


def test_damaged_ones_are_named_and_left_out(tmp_path: Path) -> None:
    assert load_experiments(workspace(tmp_path)) == []
    written = record_experiment(plan(tmp_path), workspace(tmp_path))
    folder = tmp_path / "ws" / "experiments" / "tiny"
    (folder / "a.json").write_text("{")
    (folder / "b.json").write_text("[]")
    (folder / ".c.json").write_text("half")
    damaged: list[str] = []
    assert load_experiments(workspace(tmp_path), damaged=damaged) == [written]
    assert [line.split(" is not an experiment")[0] for line in damaged] == [
        str(folder / "a.json"),
        str(folder / "b.json"),
    ]


def test_git_state_is_of_the_repository_that_tracks_the_file(tmp_path: Path) -> None:
    def git(*arguments: str) -> None:
        identity = ["-c", "user.name=n", "-c", "user.email=e@x"]
        subprocess.run(["git", "-C", str(tmp_path), *identity, *arguments], check=True, capture_output=True)

    git("init", "-q")
    recipe, stray = tmp_path / "r.toml", tmp_path / "venv.py"
    recipe.write_text("a")
    stray.write_text("b")
    git("add", "r.toml")
    git("commit", "-qm", "x")
    state = git_state(recipe)
    assert state is not None
    assert (len(state.commit), state.dirty) == (40, False)
    assert git_state(stray) is None
    git_state.cache_clear()
    recipe.write_text("c")
    assert git_state(recipe) == GitState(commit=state.commit, dirty=True)


def test_code_version_begins_with_the_package_version() -> None:
    from importlib import metadata

    assert code_version().startswith(metadata.version("cogtui"))
