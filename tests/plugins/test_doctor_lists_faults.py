"""`cogtui doctor` lists the plug-ins of every group that were skipped, and nothing else is affected by them."""

from pathlib import Path

import pytest

from pipelines.plugins import GROUPS
from tests.plugins.installing import InstalledSite, install


@pytest.mark.slow
def test_a_broken_plug_in_of_every_group_is_listed_with_its_reason(tmp_path: Path) -> None:
    site = tmp_path / "site"
    lines = "lost = no_such_module:THING\nempty = broken_plug_in:NOTHING\nwrong = broken_plug_in:WRONG"
    install(site, "broken", dict.fromkeys(GROUPS, lines))
    (site / "broken_plug_in.py").write_text("WRONG = object()\n")
    installed = InstalledSite(tmp_path, site)
    found = [one for one in installed.data("doctor") if one["area"] == "plug-ins"]
    nouns = ("task", "judge", "behaviour set", "stage kind", "import format")
    reasons = {
        (noun, one["name"]): one["detail"]
        for one in found
        for noun in nouns
        if one["detail"].startswith(f"{noun} of broken: ")
    }
    assert {one["status"] for one in found} == {"problem"}
    assert {one["degrades"] for one in found} == {"it is not used; nothing else is affected"}
    assert set(reasons) == {(noun, name) for noun in nouns for name in ("lost", "empty", "wrong")}
    for (_, name), reason in reasons.items():
        assert name != "lost" or "no_such_module" in reason
        assert name != "empty" or "NOTHING" in reason or "broken_plug_in" in reason
    assert "ppo" in installed.cogtui("run", "smoke", "--dry-run", "-w", "elsewhere").stdout
