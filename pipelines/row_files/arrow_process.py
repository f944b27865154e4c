"""Decodes parquet and Arrow files in other processes (`arrow_worker`): what aborts there does not end this one."""

from __future__ import annotations

import atexit
import marshal
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, Final, NamedTuple

_SCRIPT: Final = Path(__file__).with_name("arrow_worker.py")
_HEADER: Final = struct.Struct(">Q")
_KEPT_S: Final = 10.0
"""The server is kept for the next file: it takes a fifth of a second to start, a decoder a few milliseconds."""
_LONGEST_REASON: Final = 300


class DecoderDiedError(Exception):
    """The decoder of a file ended before the file did; the message says how."""


class DecoderReply(NamedTuple):
    """A reply of a decoder."""

    content: dict[str, Any]
    size: int
    """In bytes."""


class FileDecoder:
    """The connection to the process that decodes one file."""

    def __init__(self, channel: socket.socket, errors: int) -> None:
        self._channel = channel
        self._errors = errors

    def send(self, **request: Any) -> None:
        """Send a request; `receive` returns its reply."""
        body = marshal.dumps(request)
        try:
            self._channel.sendall(_HEADER.pack(len(body)) + body)
        except OSError:
            raise self._death() from None

    def receive(self) -> DecoderReply:
        """Return the next reply.

        Raises:
            DecoderDiedError: the process ended instead.
        """
        descriptors: list[int] = []
        try:
            header = b""
            while len(header) < _HEADER.size:
                piece, received, _, _ = socket.recv_fds(self._channel, _HEADER.size - len(header), 1)
                descriptors += received
                if not piece:
                    raise EOFError
                header += piece
            (size,) = _HEADER.unpack(header)
            body = _whole_file(descriptors.pop()) if descriptors else self._exactly(size)
            return DecoderReply(marshal.loads(body), size)
        except (OSError, EOFError, ValueError, TypeError):
            raise self._death() from None

    def _exactly(self, size: int) -> bytes:
        body = b""
        while len(body) < size:
            piece = self._channel.recv(size - len(body))
            if not piece:
                raise EOFError
            body += piece
        return body

    def close(self) -> None:
        """Close the connection: the decoder ends when it next answers."""
        self._channel.close()
        os.close(self._errors)
        _SERVER.release()

    def _death(self) -> DecoderDiedError:
        self._channel.close()  # it ends, should it be alive
        said = b""
        while piece := os.read(self._errors, 1 << 16):
            said += piece
        text, _, code = said.decode("utf-8", "replace").rpartition("\n")
        words = f" ({' '.join(text.split())[:_LONGEST_REASON]})" if text.strip() else ""
        try:
            number = int(code)
        except ValueError:
            return DecoderDiedError("the process that decodes it ended")
        if number >= 0:
            return DecoderDiedError(f"the process that decodes it ended with exit code {number}{words}")
        name = signal.Signals(-number).name if -number in list(signal.Signals) else f"signal {-number}"
        often = ", often for lack of memory" if name == "SIGKILL" else ""
        return DecoderDiedError(f"the process that decodes it was ended by {name}{often}{words}")


def _whole_file(descriptor: int) -> bytes:
    with os.fdopen(descriptor, "rb") as file:
        file.seek(0)
        return file.read()


class _DecoderServer:
    """The process that forks decoders. It starts with the first file and ends some seconds after the last."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._users = 0
        self._timer: threading.Timer | None = None

    def open(self, descriptor: int) -> FileDecoder:
        """Return the connection to a new decoder of an open file."""
        ours, theirs = socket.socketpair()
        errors, write_errors = os.pipe()
        try:
            with self._lock:
                self._send([descriptor, theirs.fileno(), write_errors])
                self._users += 1
                if self._timer is not None:
                    self._timer.cancel()
        except BaseException:
            ours.close()
            os.close(errors)
            raise
        finally:
            theirs.close()
            os.close(write_errors)
        return FileDecoder(ours, errors)

    def release(self) -> None:
        """Note that a decoder is no longer used."""
        with self._lock:
            self._users = max(0, self._users - 1)
            if self._users == 0 and self._process is not None:
                self._timer = threading.Timer(_KEPT_S, self._close_if_idle)
                self._timer.daemon = True
                self._timer.start()

    def close(self) -> None:
        """End the process; its decoders end with their connections."""
        with self._lock:
            self._end()

    def after_fork(self) -> None:
        """Leave the process to the parent of this one."""
        self._lock = threading.Lock()
        if self._control is not None:
            self._control.close()
        self._process = self._control = self._timer = None
        self._users = 0

    def _close_if_idle(self) -> None:
        with self._lock:
            if self._users == 0:
                self._end()

    def _send(self, descriptors: list[int]) -> None:
        if self._process is None or self._process.poll() is not None:
            self._end()
            self._start()
        assert self._control is not None
        try:
            socket.send_fds(self._control, [b"d"], descriptors)
        except OSError:  # it died just now
            self._end()
            self._start()
            socket.send_fds(self._control, [b"d"], descriptors)

    def _start(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                # -P: neither the folder of the script nor the current one is a place to import from
                [sys.executable, "-P", str(_SCRIPT)],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                # signals of a terminal are for this process, whose end closes the socket
                start_new_session=True,
            )
        self._control = ours

    def _end(self) -> None:
        if self._control is not None:
            self._control.close()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._control = self._process = None


_SERVER: Final = _DecoderServer()
atexit.register(_SERVER.close)
os.register_at_fork(after_in_child=_SERVER.after_fork)


def open_decoder(descriptor: int) -> FileDecoder:
    """Return the connection to a new process that decodes the file of a descriptor.

    Its first request is `open`. Close it when the file is read, or when the rest is not wanted.
    """
    return _SERVER.open(descriptor)
