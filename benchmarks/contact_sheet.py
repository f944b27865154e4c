"""A contact sheet of the app's screens in several sizes and kinds of terminal, as PNG, to look at after each change.

`python -m benchmarks.contact_sheet WORKSPACE OUTDIR [--size 120x36 ...] [--kind true ...] [--screen 4-curves ...]`.
Each kind of terminal runs in a process of its own, since Textual reads the number of colours when it is imported.
Needs chromium to turn SVG into PNG.
"""

import argparse
import asyncio
import html
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

SIZES: Final = ("80x24", "120x36", "160x48", "250x70")
KINDS: Final[dict[str, dict[str, str]]] = {
    "true": {"TERM": "xterm-256color", "COLORTERM": "truecolor"},
    "256": {"TERM": "tmux-256color"},
    "16": {"TERM": "xterm"},
    "none": {"TERM": "tmux-256color", "NO_COLOR": "1"},
    "light": {"TERM": "xterm-256color", "COLORTERM": "truecolor", "COGTUI_THEME": "light"},
    "light256": {"TERM": "tmux-256color", "COGTUI_THEME": "light"},
}
"""Environments by kind of terminal."""


def export(workspace: Path, out: Path, size: str, screens: list[str]) -> None:
    """Write the SVGs of one kind and size; runs in a process with that terminal's environment."""
    from cogtui.app import screenshots
    from jobs.workspace import Workspace

    columns, _, rows = size.partition("x")
    steps = {name: step for name, step in screenshots.STEPS.items() if not screens or name in screens}
    for path in asyncio.run(
        screenshots.export(Workspace.locate(workspace), out, (int(columns), int(rows)), steps=steps)
    ):
        print(path)


def to_png(svgs: list[Path], png: Path, columns: int) -> None:
    """Render SVGs side by side, `columns` in a row, into one PNG."""
    sizes = [_size(svg) for svg in svgs]
    width = max(wide for wide, _ in sizes)
    height = max(high for _, high in sizes)
    scale = min(1.0, 2400 / (width * min(columns, len(svgs))))
    cells = "".join(
        f'<figure><img src="{html.escape(svg.as_uri())}" width="{wide * scale:.0f}"><figcaption>'
        f"{html.escape(svg.parent.name)} {html.escape(svg.stem)}</figcaption></figure>"
        for svg, (wide, _) in zip(svgs, sizes, strict=True)
    )
    style = f"body{{margin:0;display:grid;grid-template-columns:repeat({min(columns, len(svgs))},max-content);gap:8px}}"
    style += "figure{margin:0}figcaption{font:14px monospace;text-align:center}"
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "sheet.html"
        page.write_text(f"<meta charset=utf-8><style>{style}</style>{cells}", encoding="utf-8")
        rows = -(-len(svgs) // columns)
        wide = round(width * scale + 8) * min(columns, len(svgs))
        high = round(height * scale + 34) * rows
        subprocess.run(
            [
                _chromium(), "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
                f"--user-data-dir={folder}/profile", f"--window-size={wide},{high}", f"--screenshot={png}",
                page.as_uri(),
            ],
            check=True,
            capture_output=True,
            timeout=120,
        )  # fmt: skip


def _size(svg: Path) -> tuple[float, float]:
    found = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', svg.read_text(encoding="utf-8")[:4000])
    if found is None:
        raise ValueError(f"{svg} has no viewBox")
    return float(found[1]), float(found[2])


def _chromium() -> str:
    for name in ("chromium", "chromium-browser", "google-chrome"):
        path = shutil.which(name)
        if path:
            return path
    raise FileNotFoundError("a contact sheet needs chromium")


def main() -> None:
    """Export the screens of every kind and size, and one PNG for each kind and size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("workspace", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--size", action="append", choices=SIZES)
    parser.add_argument("--kind", action="append", choices=sorted(KINDS))
    parser.add_argument("--screen", action="append", default=[], help="a name of cogtui.app.screenshots.STEPS")
    parser.add_argument("--columns", type=int, default=2)
    parser.add_argument("--export", metavar="SIZE", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.export:
        export(chosen.workspace, chosen.out, chosen.export, chosen.screen)
        return
    chosen.out.mkdir(parents=True, exist_ok=True)
    for kind in chosen.kind or KINDS:
        for size in chosen.size or SIZES:
            folder = chosen.out.absolute() / f"{kind}-{size}"
            command = [sys.executable, "-m", "benchmarks.contact_sheet", str(chosen.workspace), str(folder)]
            command += ["--export", size, *(f"--screen={name}" for name in chosen.screen)]
            kept = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "COLORTERM", "TMUX")}
            done = subprocess.run(command, env={**kept, **KINDS[kind]}, check=True, capture_output=True, text=True)
            svgs = [Path(line) for line in done.stdout.splitlines()]
            if svgs:
                png = chosen.out / f"{kind}-{size}.png"
                to_png(svgs, png.absolute(), chosen.columns)
                print(png)


if __name__ == "__main__":
    main()
