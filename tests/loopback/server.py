"""The HTTP side: routes requests of both protocols to one state, on a free port of 127.0.0.1."""

import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.parser import BytesParser
from email.policy import HTTP
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from tests.loopback import anthropic_wire, openai_wire
from tests.loopback.brain import Question
from tests.loopback.state import CutError, DropError, RejectedError, State

_BATCHES: Final = "/v1/messages/batches"


class _SentError(Exception):
    """The whole answer is on its way already."""


class _HalfSentError(Exception):
    """Half an answer is on its way; no more shall follow."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    state: State
    base_url: str

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the base class names it so
        """Stays quiet."""

    def do_GET(self) -> None:
        self._serve(None)

    def do_POST(self) -> None:
        self._serve(self.rfile.read(int(self.headers.get("content-length") or 0)))

    def _serve(self, body: bytes | None) -> None:
        self.state.ledger.entered()
        try:
            given = (self.headers.get("authorization") or "").removeprefix("Bearer ") or self.headers.get("x-api-key")
            if given != self.state.key:
                raise RejectedError(401, "invalid API key")
            if self.state.delay_s and body is not None:
                time.sleep(self.state.delay_s)  # the model thinks; nothing waits for this but the client
            self._reply(200, self._route(urlsplit(self.path).path, body))
        except RejectedError as error:
            kind = "rate_limit_error" if error.status == 429 else "invalid_request_error"
            failure = {
                "type": "error",
                "error": {"type": kind, "message": str(error), "code": error.code, "param": None},
            }
            self._reply(error.status, json.dumps(failure).encode(), error.headers)
        except _SentError:
            pass
        except CutError:
            self.send_response(200)
            self.send_header("content-length", "1000")
            self.end_headers()
            self.wfile.write(b'{"id": "cut in the mi')
            self.close_connection = True
        except (DropError, _HalfSentError):
            self.close_connection = True
        finally:
            self.state.ledger.left()

    def _route(self, path: str, body: bytes | None) -> bytes:
        if path.startswith(_BATCHES):
            return self._message_batches(path, body)
        if path == "/v1/messages" and body is not None:
            return self._said(anthropic_wire.messages, anthropic_wire.question_of, json.loads(body))
        if path == "/v1/chat/completions" and body is not None:
            return self._said(openai_wire.chat, openai_wire.question_of, json.loads(body))
        if path.startswith("/v1/files"):
            return self._files(path, body)
        if path.startswith("/v1/batches"):
            return self._batches(path, body)
        if path == "/v1/models":
            model = {"id": "loopback", "object": "model", "created": 0, "owned_by": "t"}
            return _dump({"object": "list", "data": [model | {"max_model_len": self.state.context}]})
        raise RejectedError(404, f"no route {path}")

    def _said(
        self,
        say: Callable[[State, dict[str, Any]], dict[str, Any]],
        question_of: Callable[[dict[str, Any]], Question],
        body: dict[str, Any],
    ) -> bytes:
        """An answer of the model, in small pieces where it is to be slow."""
        answer = _dump(say(self.state, body))
        if self.state.faults(question_of(body).user) != "slow":
            return answer
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for start in range(0, len(answer), 200):
            piece = answer[start : start + 200]
            self.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
            time.sleep(0.01)  # the network is slow; nothing waits for this but the client
        self.wfile.write(b"0\r\n\r\n")
        raise _SentError

    def _files(self, path: str, body: bytes | None) -> bytes:
        if body is not None:
            content, purpose = _multipart(self.headers["content-type"], body)
            return _dump(openai_wire.upload(self.state, content, purpose))
        _, _, _, file_id, *rest = path.split("/")
        if file_id not in self.state.files:
            raise RejectedError(404, "no such file")
        if rest == ["content"]:
            return self._download(self.state.files[file_id])
        return _dump(openai_wire.file_object(file_id, len(self.state.files[file_id]), 0, "batch"))

    def _batches(self, path: str, body: bytes | None) -> bytes:
        parts = path.split("/")[3:]
        if not parts:
            if body is not None:
                return _dump(openai_wire.create_batch(self.state, json.loads(body)))
            newest = reversed(list(self.state.batches.values()))
            data = [openai_wire.poll_batch(self.state, batch) for batch in newest]
            return _dump({"object": "list", "data": self._after(data, "after"), "has_more": False})
        batch = self.state.batches.get(parts[0])
        if batch is None:
            raise RejectedError(404, "no such batch")
        if parts[1:] == ["cancel"]:
            batch.cancelled, batch.polls_left = True, 0
        return _dump(openai_wire.poll_batch(self.state, batch))

    def _message_batches(self, path: str, body: bytes | None) -> bytes:
        parts = path.removeprefix(_BATCHES).strip("/").split("/")
        if parts == [""]:
            if body is not None:
                return _dump(anthropic_wire.create_batch(self.state, json.loads(body), self.base_url))
            newest = reversed(list(self.state.batches.values()))
            data = [anthropic_wire.poll_batch(self.state, batch, self.base_url) for batch in newest]
            page = self._after(data, "after_id")
            ends = {"first_id": page[0]["id"] if page else None, "last_id": page[-1]["id"] if page else None}
            return _dump({"data": page, "has_more": False, **ends})
        batch = self.state.batches.get(parts[0])
        if batch is None:
            raise RejectedError(404, "no such batch")
        if parts[1:] == ["cancel"]:
            batch.cancelled, batch.polls_left = True, 0
        if parts[1:] == ["results"]:
            if batch.results is None:
                raise RejectedError(404, "not ended")
            return self._download(b"".join(_dump(line) + b"\n" for line in batch.results))
        return _dump(anthropic_wire.poll_batch(self.state, batch, self.base_url))

    def _download(self, content: bytes) -> bytes:
        """A file of results; cut in the middle where that is asked for."""
        with self.state.lock:
            self.state.downloads += 1
            if not self.state.cut_results:
                return content
            self.state.cut_results -= 1
        self.send_response(200)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[: len(content) // 2])
        raise _HalfSentError

    def _after(self, data: list[dict[str, Any]], parameter: str) -> list[dict[str, Any]]:
        """The part of a listing behind the id that the query names."""
        after = parse_qs(urlsplit(self.path).query).get(parameter, [""])[0]
        ids = [item["id"] for item in data]
        return data[ids.index(after) + 1 :] if after in ids else data

    def _reply(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


def _dump(value: Any) -> bytes:
    return json.dumps(value).encode()


def _multipart(content_type: str, body: bytes) -> tuple[bytes, str]:
    """File content and purpose of an upload."""
    parsed = BytesParser(policy=HTTP).parsebytes(b"content-type: " + content_type.encode() + b"\r\n\r\n" + body)
    fields: dict[str, bytes] = {}
    for part in parsed.iter_parts():
        name = part.get_param("name", header="content-disposition")
        payload = part.get_payload(decode=True)
        if isinstance(name, str) and isinstance(payload, bytes):
            fields[name] = payload
    return fields["file"], fields["purpose"].decode()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Says nothing of clients that went away: tests kill them."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


@contextmanager
def serve(state: State) -> Iterator[str]:
    """Runs the server while the block runs; yields its base URL (without `/v1`)."""
    handler = type("Handler", (_Handler,), {"state": state, "base_url": ""})
    server = _Server(("127.0.0.1", 0), handler)
    handler.base_url = base_url = f"http://127.0.0.1:{server.server_address[1]}"  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield base_url
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
