"""A server that answers like vLLM's, over a Unix socket: `vllm_server_stand_in.py LOG [--die-after N] ...`.

It answers a prompt with the prompt, EOS and 3, and writes what it was asked to LOG. With `--die-after N` the first one
ends itself in the middle of the request after N answers, with `--die-on-load` when it is to load weights.
"""

import json
import os
import socketserver
import sys
import threading
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

from safetensors.numpy import load_file

EOS = 1
LOG = Path(sys.argv[1])
ARGUMENTS = sys.argv[2:]
LOCK = threading.Lock()


def write(entry: dict[str, Any]) -> None:
    """Append an entry to the log."""
    with LOCK, LOG.open("a") as stream:
        stream.write(json.dumps(entry) + "\n")


def answered() -> int:
    """How many completions were answered so far, by any server."""
    return sum("answered" in line for line in LOG.read_text().splitlines())


class Handler(BaseHTTPRequestHandler):
    """The routes that the engine uses."""

    def do_GET(self) -> None:
        self._answer({})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path == "/collective_rpc":
            if "--die-on-load" in ARGUMENTS and not LOG.with_suffix(".died").exists():
                LOG.with_suffix(".died").touch()
                os._exit(9)
            files = Path(body["args"][0]).glob("*.safetensors")
            weights = [tensor for file in files for tensor in load_file(file).values()]
            write({"method": body["method"], "sum": sum(float(tensor.sum(dtype="float64")) for tensor in weights)})
            self._answer({"results": [None]})
        elif self.path == "/v1/completions":
            limit = int(ARGUMENTS[ARGUMENTS.index("--die-after") + 1]) if "--die-after" in ARGUMENTS else None
            with LOCK:
                dies = limit is not None and answered() == limit and not LOG.with_suffix(".died").exists()
                if dies:
                    LOG.with_suffix(".died").touch()
                    os._exit(9)
                ids = [*body["prompt"], EOS, 3]
                self._answer({"choices": [{"token_ids": ids, "logprobs": {"token_logprobs": [-0.5] * len(ids)}}]})
                with LOG.open("a") as stream:
                    stream.write(json.dumps({"route": self.path, "body": body, "answered": True}) + "\n")
        else:
            write({"route": self.path})
            self._answer({})

    def _answer(self, body: Any) -> None:
        data = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
        self.wfile.flush()

    def address_string(self) -> str:
        return "socket"

    def log_message(self, format: str, *given: Any) -> None:  # noqa: A002
        """Nothing is logged."""


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """One thread per request."""

    daemon_threads = True
    request_queue_size = 64


if __name__ == "__main__":
    if "--refuse" in ARGUMENTS:
        sys.stderr.write("torch.OutOfMemoryError: no room\n")
        sys.exit(3)
    write({"arguments": ARGUMENTS, "dev": os.environ.get("VLLM_SERVER_DEV_MODE")})
    Server(ARGUMENTS[ARGUMENTS.index("--uds") + 1], Handler).serve_forever()
