"""The ways a notification takes: bell and OSC 9 on a terminal, a command, a webhook."""

import base64
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import unquote, urlsplit, urlunsplit

from cogtui.cli.run.alerts.message import AlertMessage
from cogtui.settings import mask_url
from pipelines.text_safety import one_line

_COMMAND_S: Final = 30.0
"""Seconds after which a command is no longer waited for; it is left running."""
_ATTEMPTS: Final = 3
_RETRY_S: Final = 0.5
"""Seconds before the second attempt; four times as many before the third."""
_REQUEST_S: Final = 3.0
_REPEATABLE: Final = frozenset({408, 425, 429})
_REDIRECTS: Final = range(300, 400)
_SERVER_ERRORS: Final = range(500, 600)


def notify_terminal(message: AlertMessage, environment: Mapping[str, str] = os.environ) -> bool:
    """Ring the bell and show a notification (OSC 9) if standard error is a terminal; return whether it is."""
    try:
        shown = sys.stderr.isatty() and environment.get("TERM") != "dumb"
    except ValueError:  # closed
        return False
    if shown:
        # Text in this sequence ends at a control character, and `text` has none.
        sys.stderr.write(f"\x1b]9;cogtui: {one_line(message.text, 200)}\x07\x07")
        sys.stderr.flush()
    return shown


def run_command(command: Sequence[str], message: AlertMessage) -> str | None:
    """Start a command with what happened in its environment; return what went wrong, or None.

    The arguments are those configured, never texts of the run, and no shell reads them.
    """
    with tempfile.TemporaryFile() as output:
        try:
            process = subprocess.Popen(
                command,
                env={**os.environ, **message.as_environment()},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            return f"{command[0]} cannot be started: {reason}"
        try:
            code = process.wait(_COMMAND_S)
        except subprocess.TimeoutExpired:
            return f"{command[0]} still runs after {_COMMAND_S:.0f} s and is not waited for"
        if code == 0:
            return None
        output.seek(max(0, output.tell() - 4096))
        said = one_line(output.read().decode("utf-8", "replace"), 200)
        return f"{command[0]} exited with {code}{f': {said}' if said else ''}"


def post_webhook(url: str, message: AlertMessage, deadline: float) -> str | None:
    """Post a message as JSON, repeated where that can help; return what went wrong, or None.

    Args:
        url: the address; never part of what is returned, since it may hold a secret.
        message: what to post.
        deadline: on the monotonic clock, after which there is no further attempt.
    """
    body = json.dumps(message.as_data()).encode()
    problem: str | None = None
    for attempt in range(_ATTEMPTS):
        if attempt:
            pause = _RETRY_S * 4 ** (attempt - 1)
            if time.monotonic() + pause >= deadline:
                break
            time.sleep(pause)
        problem, again = _post(url, body)
        if not again:
            break
    return problem


def _without_login(url: str) -> tuple[str, dict[str, str]]:
    """Return an address without user and password, which urllib takes for part of the host, and a header of them."""
    parts = urlsplit(url)
    login, at, place = parts.netloc.rpartition("@")
    if not at:
        return url, {}
    encoded = base64.b64encode(unquote(login).encode()).decode()
    return urlunsplit(parts._replace(netloc=place)), {"Authorization": f"Basic {encoded}"}


def _post(url: str, body: bytes) -> tuple[str | None, bool]:
    """Post once; return what went wrong, and whether another attempt may go better."""
    import http.client
    from urllib.error import HTTPError, URLError
    from urllib.request import HTTPRedirectHandler, Request, build_opener

    class NoRedirects(HTTPRedirectHandler):
        """Follows no redirect: the message would go to an address that nobody configured."""

        def redirect_request(self, *_: object) -> None:
            return None

    place = mask_url(url)
    try:
        address, login = _without_login(url)
        headers = {"Content-Type": "application/json", "User-Agent": "cogtui"} | login
        request = Request(address, body, headers, method="POST")
        with build_opener(NoRedirects).open(request, timeout=_REQUEST_S):
            return None, False
    except HTTPError as error:
        error.close()
        if error.code in _REDIRECTS:
            return f"{place} answers {error.code}, a redirect, which is not followed: configure its address", False
        return f"{place} answers {error.code}", error.code in _REPEATABLE or error.code in _SERVER_ERRORS
    except TimeoutError:
        return f"{place} does not answer within {_REQUEST_S:.0f} s", True
    except URLError as error:
        cause = error.reason
        if isinstance(cause, TimeoutError):
            return f"{place} does not answer within {_REQUEST_S:.0f} s", True
        reason = cause.strerror if isinstance(cause, OSError) else None
        return f"{place} cannot be reached{f': {reason}' if reason else ''}", True
    except (OSError, http.client.HTTPException, ValueError) as error:
        return f"{place} cannot be reached ({type(error).__name__})", True
