"""A server on the loopback interface that speaks as much of the Hugging Face hub's protocol as reading needs."""

import hashlib
import json
import re
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final
from urllib.parse import unquote, urlsplit

GATED: Final = "someone/gated"
_INFO: Final = re.compile(r"/api/(?:datasets|models)/([^/]+/[^/]+)(?:/revision/(.+))?")
_TREE: Final = re.compile(r"/api/(?:datasets|models)/([^/]+/[^/]+)/tree/([^/]+)")
_RESOLVE: Final = re.compile(r"(?:/datasets)?/([^/]+/[^/]+)/resolve/([^/]+)/(.+)")


class Hub:
    """Data sets or models by name, each a mapping from path to content; `requests` are the paths asked for."""

    def __init__(self, sets: Mapping[str, Mapping[str, bytes]]) -> None:
        self.sets = sets
        self.requests: list[str] = []
        self.ranges: list[str] = []
        """The `Range` headers of requests for the rest of a file."""
        self.breaks_at: int | None = None
        """Bytes of a body after which the connection is cut; None to send all."""
        self.url = ""

    def commit(self, name: str) -> str:
        """The revision of a data set."""
        return hashlib.sha1(name.encode()).hexdigest()


def _handler(hub: Hub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the base class names it so
            """Stays quiet."""

        def do_HEAD(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            path = unquote(urlsplit(self.path).path)
            hub.requests.append(f"{self.command} {path}")
            if found := _INFO.fullmatch(path):
                self._info(found[1], found[2] or "main")
            elif found := _TREE.fullmatch(path):
                self._tree(found[1])
            elif found := _RESOLVE.fullmatch(path):
                self._file(found[1], found[3])
            else:
                self._reply(404, b"")

        def _info(self, name: str, revision: str) -> None:
            if name == GATED:
                return self._reply(403, b"{}", {"X-Error-Code": "GatedRepo"})
            if name not in hub.sets:
                return self._reply(404, b"{}", {"X-Error-Code": "RepoNotFound"})
            if revision not in ("main", hub.commit(name)):
                return self._reply(404, b"{}", {"X-Error-Code": "RevisionNotFound"})
            files = [{"rfilename": path, "size": len(content)} for path, content in hub.sets[name].items()]
            info = {"id": name, "sha": hub.commit(name), "private": False, "tags": [], "siblings": files}
            return self._reply(200, json.dumps(info).encode(), {"Content-Type": "application/json"})

        def _tree(self, name: str) -> None:
            files = [
                {"type": "file", "path": path, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}
                for path, content in hub.sets[name].items()
            ]
            self._reply(200, json.dumps(files).encode(), {"Content-Type": "application/json"})

        def _file(self, name: str, path: str) -> None:
            content = hub.sets.get(name, {}).get(path)
            if content is None:
                return self._reply(404, b"", {"X-Error-Code": "EntryNotFound"})
            headers = {
                "ETag": f'"{hashlib.sha1(content).hexdigest()}"',
                "X-Repo-Commit": hub.commit(name),
                "Accept-Ranges": "bytes",
            }
            wanted = re.fullmatch(r"bytes=(\d+)-\d*", self.headers.get("Range") or "")
            if wanted is None:
                return self._reply(200, content, headers)
            hub.ranges.append(wanted[0])
            first = int(wanted[1])
            headers["Content-Range"] = f"bytes {first}-{len(content) - 1}/{len(content)}"
            return self._reply(206, content[first:], headers)

        def _reply(self, status: int, body: bytes, headers: Mapping[str, str] = {}) -> None:
            self.send_response(status)
            for header, value in headers.items():
                self.send_header(header, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command == "HEAD":
                return
            cut = hub.breaks_at is not None and len(body) > hub.breaks_at
            self.wfile.write(body[: hub.breaks_at] if cut else body)
            if cut:
                self.wfile.flush()
                self.connection.shutdown(socket.SHUT_RDWR)
                self.close_connection = True

    return Handler


@contextmanager
def serve_hub(sets: Mapping[str, Mapping[str, bytes]]) -> Iterator[Hub]:
    """Serve data sets or models until the block ends."""
    hub = Hub(sets)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(hub))
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
