"""The name of the current user."""

import getpass
import os


def user_name() -> str:
    """Return the name of the current user; its number in a container that has no account for it."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())
