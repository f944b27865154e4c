"""Registries of plug-ins: good ones are found, broken ones are named and skipped."""

import json
import re
import sys
import threading
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs.doctor.checks import EXTRAS
from pipelines.errors import InvalidInput
from pipelines.plugins import Registry, missing_members, unknown_groups
from tests.plugins.installing import REPOSITORY, InstalledSite, install

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


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder for distributions, importable, with a module `task_of_site`."""
    site = tmp_path / "site"
    site.mkdir()
    (site / "task_of_site.py").write_text(
        "print('printed on import')\n"
        "class Raising:\n"
        "    @property\n"
        "    def name(self): raise RuntimeError('no licence')\n"
        "class Named:\n"
        "    pass\n"
        "raising, named = Raising(), Named()\n"
        "named.name = 'named'\n"
    )
    monkeypatch.syspath_prepend(str(site))
    yield site
    sys.modules.pop("task_of_site", None)


def test_a_plugin_whose_property_raises_is_a_fault(site: Path) -> None:
    install(site, "raising", {GROUP: "raising = task_of_site:raising\nnamed = task_of_site:named"})
    tasks = registry()
    assert list(tasks.names()) == ["first", "named"]
    assert [fault.reason for fault in tasks.faults()] == [
        "examining task_of_site:raising failed: RuntimeError: no licence"
    ]


def test_a_conversion_that_raises_is_a_fault(site: Path) -> None:
    class Converting(Registry[object]):
        def convert(self, name: str, loaded: object) -> object:
            raise TypeError(f"{name} is no mapping")

    install(site, "named", {GROUP: "named = task_of_site:named"})
    tasks: Registry[object] = Converting(GROUP, "task", {}, lambda _: None)
    assert list(tasks.names()) == []
    assert [fault.reason for fault in tasks.faults()] == [
        "examining task_of_site:named failed: TypeError: named is no mapping"
    ]


def test_a_malformed_file_of_entry_points_stops_no_other_package(site: Path) -> None:
    install(site, "malformed", {GROUP: "named task_of_site:named"})
    install(site, "unrelated", {"other.group": "nothing of ours"})
    install(site, "sound", {GROUP: "named = task_of_site:named"})
    tasks = registry()
    assert list(tasks.names()) == ["first", "named"]
    (fault,) = tasks.faults()
    assert (fault.package, fault.name) == ("malformed", "entry_points.txt")
    assert fault.reason == "its entry_points.txt cannot be read: line 2 has no =: 'named task_of_site:named'"


def test_of_two_plugins_of_one_name_the_one_in_use_is_named(site: Path) -> None:
    (site / "another_task.py").write_text("class Task:\n    name = 'named'\n\ntask = Task()\n")
    install(site, "later", {GROUP: "named = task_of_site:named"})
    install(site, "sooner", {GROUP: "named = another_task:task"})
    tasks = registry()
    assert type(tasks.get("named")).__module__ == "another_task"
    (fault,) = tasks.faults()
    assert fault.package == "later"
    assert fault.reason == "the name 'named' is already taken by the plug-in of sooner"
    sys.modules.pop("another_task")


def test_what_a_plugin_prints_on_import_goes_to_stderr(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    install(site, "printing", {GROUP: "named = task_of_site:named"})
    before = sys.stdout
    assert list(registry().names()) == ["first", "named"]
    assert sys.stdout is before
    assert capsys.readouterr() == ("", "printed on import\n")


def test_stdout_is_given_back_after_loading_in_two_threads_at_once(site: Path) -> None:
    inside, leaving = threading.Event(), threading.Event()

    def wait(_: object) -> None:
        inside.set()
        assert leaving.wait(20)

    install(site, "slow", {GROUP: "named = task_of_site:named"})
    before = sys.stdout
    slow: Registry[object] = Registry(GROUP, "task", {}, wait)
    thread = threading.Thread(target=slow.faults)
    thread.start()
    assert inside.wait(20)
    seen = []
    fast: Registry[object] = Registry(GROUP, "task", {}, lambda _: seen.append(sys.stdout))
    assert list(fast.names()) == ["named"]
    leaving.set()
    thread.join()
    assert seen == [sys.stderr]
    assert sys.stdout is before


def test_groups_that_nothing_reads_are_found(site: Path) -> None:
    install(site, "misspelt", {"cogtui.judgs": "named = task_of_site:named", GROUP: "", "other.group": "a = b:c"})
    assert ("misspelt", "cogtui.judgs") in list(unknown_groups())
    assert {group for package, group in unknown_groups() if package == "misspelt"} == {"cogtui.judgs"}


def test_doctor_knows_the_extras_of_this_project() -> None:
    extras = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    declared = {
        extra: {re.split(r"[<>=;\s\[]", package, maxsplit=1)[0] for package in packages}
        for extra, packages in extras["optional-dependencies"].items()
        if extra != "dev"
    }
    assert {extra: set(packages) for extra, packages in EXTRAS.items()} == declared


def test_doctor_lists_unusual_faults_and_its_json_is_whole(site: Path, tmp_path: Path) -> None:
    (site / "plain_module.py").write_text("print('hello')\n")
    points = {
        "cogtui.behaviors": "plain = plain_module",
        "cogtui.judgs": "loud = plain_module:LOUD",
        GROUP: "raising = task_of_site:raising",
    }
    install(site, "unusual", points)
    install(site, "malformed", {"cogtui.stages": "stage without a sign"})
    installed = InstalledSite(tmp_path, site)
    done = installed.cogtui("doctor", "--json")
    assert done.returncode == 0, done.stderr
    found = {one["name"]: one for one in json.loads(done.stdout)["data"] if one["area"] == "plug-ins"}
    assert set(found) == {"plain", "cogtui.judgs", "raising", "entry_points.txt"}
    assert {one["degrades"] for one in found.values()} == {"it is not used; nothing else is affected"}
    assert "plain_module is a module in one file" in found["plain"]["detail"]
    assert "did you mean cogtui.judges?" in found["cogtui.judgs"]["detail"]
    assert "no licence" in found["raising"]["detail"]
    assert found["entry_points.txt"]["detail"].startswith("stage kind of malformed: ")
    assert "hello" in done.stderr
