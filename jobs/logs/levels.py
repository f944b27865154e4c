"""The level of a log line (error, warning, debug), as its words say; the app marks lines by it."""

import re
from typing import Final, Literal

from jobs.logs.reader import ERRORS

LogLevel = Literal["", "error", "warning", "info", "debug"]

TRACEBACK: Final = "Traceback (most recent call last)"
_ERROR: Final = re.compile(ERRORS.pattern.decode())
_STATED: Final = re.compile(r"\b(?:(ERROR|CRITICAL|FATAL)|(WARN(?:ING)?)|(INFO)|(DEBUG|TRACE))\b")
_WARNING: Final = re.compile(r"\b\w*[Ww]arning:")
_START: Final = 80
"""Characters in which loggers write the level."""
_HEAD: Final = 400
"""Characters in which the words of an exception are looked for."""


def line_level(text: str) -> LogLevel:
    """Return the level that a line states near its start, else what its words say; empty if neither is there."""
    stated = _STATED.search(text[:_START])
    if stated is not None:
        error, warning, info, _ = stated.groups()
        return "error" if error else "warning" if warning else "info" if info else "debug"
    head = text[:_HEAD]
    if _ERROR.search(head):
        return "error"
    return "warning" if _WARNING.search(head) else ""


def continues_traceback(text: str) -> bool:
    """Return whether a line can belong to a traceback that began above it: its frames are indented."""
    return text[:1] in (" ", "\t")
