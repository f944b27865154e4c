"""The way a copied text takes: tmux's buffer inside tmux, else the terminal's clipboard by OSC 52."""

import os
import subprocess
from collections.abc import Mapping
from typing import Final

_WAIT_S: Final = 2.0


def copy_to_tmux(text: str, environment: Mapping[str, str] = os.environ) -> bool:
    """Load a text into tmux's buffer, from which tmux passes it on to the terminal where its settings allow it.

    An escape sequence of the app reaches nothing while tmux's `set-clipboard` is `external`, its default.

    Returns:
        Whether tmux took it; false outside tmux.
    """
    if not environment.get("TMUX"):
        return False
    try:
        done = subprocess.run(
            ["tmux", "load-buffer", "-w", "-"],
            input=text.encode("utf-8", "replace"),
            env={**environment},
            timeout=_WAIT_S,
            capture_output=True,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0
