"""Outside packages for tests: distributions with entry points in a folder, and `cogtui` run with them."""

import importlib
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from pipelines.plugins import Registry

REPOSITORY: Final = Path(__file__).parents[2]


def install(
    site: Path, distribution: str, points: dict[str, str], modules: Mapping[str, Path] = MappingProxyType({})
) -> None:
    """Make an installed distribution in a folder of importable modules.

    Args:
        site: the folder; made if it does not exist.
        distribution: name of the distribution.
        points: entry-point group to its lines.
        modules: file name in the folder to the file it is a copy of.
    """
    site.mkdir(parents=True, exist_ok=True)
    for name, source in modules.items():
        shutil.copy(source, site / name)
    info = site / f"{distribution.replace('-', '_')}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
    text = "".join(f"[{group}]\n{lines}\n" for group, lines in points.items())
    (info / "entry_points.txt").write_text(text)


@contextmanager
def importable_here(site: Path, registry: Registry[Any]) -> Iterator[None]:
    """Let this process import from a folder, and find the plug-ins of one group there, until the block ends."""
    before = set(sys.modules)
    sys.path.insert(0, str(site))
    importlib.invalidate_caches()
    registry.reload()
    try:
        yield
    finally:
        sys.path.remove(str(site))
        for path in site.glob("*.py"):
            if path.stem not in before:
                sys.modules.pop(path.stem, None)
        registry.reload()


@dataclass(frozen=True, slots=True)
class InstalledSite:
    """A folder to work in, and one with outside packages."""

    folder: Path
    site: Path

    def cogtui(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run `cogtui` in the folder, with the packages installed."""
        paths = [str(self.site), *filter(None, [os.environ.get("PYTHONPATH")])]
        environment = {name: value for name, value in os.environ.items() if name != "COGTUI_WORKSPACE"}
        return subprocess.run(
            [sys.executable, "-c", "from cogtui.cli.main import run; run()", *arguments],
            cwd=self.folder,
            env=environment | {"PYTHONPATH": os.pathsep.join(paths)},
            capture_output=True,
            text=True,
            timeout=400,
            check=False,
        )

    def data(self, *arguments: str) -> Any:
        """Run a command with `--json` and return its data."""
        done = self.cogtui(*arguments, "--json")
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout)["data"]


def documented(page: str, section: str) -> dict[str, str]:
    """The code blocks of a section by the file the text in front of them names, e.g. `` `loud_judge.py`: ``."""
    text = (REPOSITORY / "docs" / page).read_text(encoding="utf-8").partition(f"## {section}\n")[2]
    blocks = re.findall(r"`([\w/.]+)`:\n\n```\w+\n(.*?)\n```", text.partition("\n## ")[0], re.DOTALL)
    return dict(blocks)


def install_documented(site: Path, files: dict[str, str]) -> None:
    """Write the documented files and install what their `pyproject.toml` declares."""
    for name, text in files.items():
        path = site / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n", encoding="utf-8")
    groups = tomllib.loads(files["pyproject.toml"])["project"]["entry-points"]
    points = {group: "\n".join(f"{name} = {value}" for name, value in of.items()) for group, of in groups.items()}
    install(site, "documented", points)


def run_python(site: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run Python with the installed distributions of a folder."""
    paths = [str(site), str(REPOSITORY), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {name: value for name, value in os.environ.items() if name != "COGTUI_WORKSPACE"}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=REPOSITORY,
        env=environment | {"PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
