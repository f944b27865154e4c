"""The name and the home folder of the current user."""

import getpass
import os
from pathlib import Path


def user_name() -> str:
    """Return the name of the current user; its number in a container that has no account for it."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def home_folder() -> Path | None:
    """Return the home folder of the current user; None for one without an account or HOME."""
    try:
        return Path.home()
    except RuntimeError:
        return None
