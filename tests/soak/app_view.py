"""What the app shows of a workspace, read from its screens: `python -m tests.soak.app_view WORKSPACE` prints JSON."""

import asyncio
import json
import re
import sys
from pathlib import Path

from cogtui.app.experiments.matrix_widget import MatrixView
from jobs.workspace import Workspace
from tests.app.driving import press, running, screen_text, visible_lines

_COUNT = re.compile(r"of ([\d,]+) rollouts")


async def read_screens(workspace: Workspace) -> dict[str, object]:
    """Return the words of the matrix, and the number of rollouts that the list of traces states."""
    async with running(workspace, size=(160, 40)) as (app, pilot):
        matrix = visible_lines(app.screen.query_one(MatrixView))
        await press(pilot, "3")
        text = screen_text(app)
    found = _COUNT.search(text)
    return {"matrix": matrix, "rollouts": int(found[1].replace(",", "")) if found else None, "text": text}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asyncio.run(read_screens(Workspace(Path(sys.argv[1]))))) + "\n")
