"""Registries of plug-ins: good ones are found, broken ones are named and skipped."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines.errors import InvalidInput
from pipelines.plugins import Registry, missing_members

GROUP = "cogtui.tasks"


@pytest.fixture
def outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An importable folder with an installed distribution that declares five tasks, four of them unusable."""
    (tmp_path / "outside_good.py").write_text("class Task:\n    name = 'good'\n\ntask = Task()\nbare = object()\n")
    (tmp_path / "outside_broken.py").write_text("raise RuntimeError('no such device\\nsecond line')\n")
    info = tmp_path / "outside-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: outside\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        f"[{GROUP}]\n"
        "good = outside_good:task\n"
        "bare = outside_good:bare\n"
        "broken = outside_broken:task\n"
        "absent = outside_good:nothing\n"
        "first = outside_good:task\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    for name in ("outside_good", "outside_broken"):
        sys.modules.pop(name, None)


def registry() -> Registry[object]:
    return Registry(GROUP, "task", {"first": object()}, lambda entry: missing_members(entry, ("name",)))


def test_a_good_plugin_is_found_after_the_builtin_ones(outside: Path) -> None:
    tasks = registry()
    assert list(tasks.names()) == ["first", "good"]
    assert getattr(tasks.get("good"), "name", None) == "good"
    assert "good" in tasks
    assert "bare" not in tasks


def test_broken_plugins_are_named_with_their_reason(outside: Path) -> None:
    faults = {fault.name: fault for fault in registry().faults()}
    assert set(faults) == {"bare", "broken", "absent", "first"}
    assert {fault.package for fault in faults.values()} == {"outside"}
    assert faults["bare"].reason == "it has no name"
    assert faults["broken"].reason == "importing outside_broken:task failed: RuntimeError: no such device"
    assert "AttributeError" in faults["absent"].reason
    assert faults["first"].reason == "the name 'first' is built in"


def test_an_unknown_name_is_an_error_with_the_nearest(outside: Path) -> None:
    with pytest.raises(InvalidInput, match="there is no task 'goof'") as caught:
        registry().get("goof")
    assert caught.value.remedy == "Did you mean good? Available: first, good."
    with pytest.raises(InvalidInput) as caught:
        registry().get("broken")
    assert "no such device" in caught.value.detail


def test_a_builtin_name_needs_no_search_of_installed_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(group: str) -> None:
        raise AssertionError("searched")

    monkeypatch.setattr("pipelines.plugins.entry_points", refuse)
    tasks: Registry[object] = Registry(GROUP, "task", {"path": "pipelines.plugins:GROUPS"}, lambda _: None)
    assert GROUP in tasks.get("path")  # type: ignore[operator]
