"""The process of a vLLM server of the stage's own, and requests to it over a Unix socket."""

import contextlib
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import torch

from pipelines.errors import StageFailed
from pipelines.training.core.engine_configs import VLLMConfig
from pipelines.training.core.runtime import Runtime
from pipelines.training.generation.vllm_settings import VLLMModel, engine_arguments

MODEL_NAME: Final = "policy"
"""Name of the model in requests."""
_EXTENSION: Final = "pipelines.training.generation.vllm_worker.WeightLoader"
_START_S: Final = 1800.0
"""Time for a server to load and compile a model."""
_ANSWER_S: Final = 3600.0
_POLL_S: Final = 0.5
_SHOWN_LINES: Final = 30


class ServerGone(Exception):
    """The server did not answer: it died, or is about to."""


class VLLMServer:
    """The process of a server, and requests to it over its socket.

    Args:
        model: the model it loads.
        config: settings of vLLM.
        runtime: device and number type of the stage.
        command: starts the server, with its arguments appended.
    """

    def __init__(self, model: VLLMModel, config: VLLMConfig, runtime: Runtime, command: Sequence[str]) -> None:
        self._arguments = [*command, *_server_arguments(engine_arguments(model, config, runtime, shared=False))]
        self._runtime = runtime
        self._tensor_parallel = config.tensor_parallel
        self.folder = Path(tempfile.mkdtemp(prefix="cogtui-vllm-"))
        """Readable by this user only; the path is short enough for a socket."""
        self.socket = self.folder / "server.sock"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the server and wait until it answers.

        Raises:
            StageFailed: it ended, or did not answer in time; with the end of its log.
        """
        self.stop()
        self.socket.unlink(missing_ok=True)
        with (self.folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [*self._arguments, "--uds", str(self.socket)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._environment(),
                start_new_session=True,
            )
        until = time.monotonic() + _START_S
        while time.monotonic() < until:
            if self._process.poll() is not None:
                raise StageFailed(
                    f"the vLLM server ended with code {self._process.returncode} before it answered",
                    detail=self.log_end(),
                    remedy="Fix what its log names; engine.vllm.mode = colocate needs no server.",
                )
            with contextlib.suppress(ServerGone):
                ask(self.socket, "GET", "/health", timeout=5.0)
                return
            time.sleep(_POLL_S)
        self.stop()
        raise StageFailed(f"the vLLM server did not answer within {_START_S:.0f} s", detail=self.log_end())

    def load(self, folder: Path) -> None:
        """Load the weights of a folder.

        Raises:
            ServerGone: the server died meanwhile.
        """
        ask(self.socket, "POST", "/collective_rpc", {"method": "load_weight_files", "args": [str(folder)]})
        ask(self.socket, "POST", "/reset_prefix_cache", {})

    @property
    def pid(self) -> int:
        """Process id of the server."""
        assert self._process is not None
        return self._process.pid

    def stop(self) -> None:
        """End the server and the processes it started."""
        process, self._process = self._process, None
        if process is None:
            return
        for number, patience in ((signal.SIGTERM, 20.0), (signal.SIGKILL, 20.0)):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(patience)
                break
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)  # its workers, if it was killed alone

    def close(self) -> None:
        """End the server and remove its folder."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def log_end(self) -> str:
        """Return the last lines of its log."""
        path = self.folder / "server.log"
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else []
        return "\n".join(lines[-_SHOWN_LINES:])

    def _environment(self) -> dict[str, str]:
        launcher = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", "GROUP_RANK")
        inherited = {
            name: value
            for name, value in os.environ.items()
            if name not in launcher and not name.startswith("TORCHELASTIC_")
        }
        inherited["VLLM_SERVER_DEV_MODE"] = "1"  # serves /collective_rpc
        inherited["PYTHONPATH"] = os.pathsep.join(filter(None, [_package_root(), os.environ.get("PYTHONPATH", "")]))
        if self._runtime.device.type == "cuda":
            inherited["CUDA_VISIBLE_DEVICES"] = ",".join(_free_devices(self._tensor_parallel))
        return inherited


class _SocketConnection(http.client.HTTPConnection):
    def __init__(self, path: Path, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def ask(path: Path, method: str, route: str, body: Any = None, *, timeout: float = _ANSWER_S) -> Any:
    """Send a request over a socket and return the JSON of the answer.

    Raises:
        ServerGone: no answer, or one that says the engine died.
        StageFailed: the server refused the request; with its message.
    """
    connection = _SocketConnection(path, timeout)
    try:
        payload = None if body is None else json.dumps(body)
        connection.request(method, route, payload, {"Content-Type": "application/json"})
        response = connection.getresponse()
        text = response.read().decode("utf-8", "replace")
    except (OSError, http.client.HTTPException) as error:
        raise ServerGone(str(error)) from error
    finally:
        connection.close()
    if response.status >= 500:
        raise ServerGone(text[:2000])
    if response.status >= 400:
        raise StageFailed(f"the vLLM server refused {route} with HTTP {response.status}", detail=text[:2000])
    return json.loads(text) if text.strip() else None


def _free_devices(count: int) -> list[str]:
    """Return the GPUs behind those of the training processes, as CUDA_VISIBLE_DEVICES names them."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    devices = named.split(",") if named else [str(index) for index in range(torch.cuda.device_count())]
    used = int(os.environ.get("LOCAL_WORLD_SIZE", os.environ.get("WORLD_SIZE", "1")))
    return devices[used : used + count]


def _server_arguments(arguments: dict[str, Any]) -> list[str]:
    found = ["--served-model-name", MODEL_NAME, "--worker-extension-cls", _EXTENSION]
    for name, value in arguments.items():
        flag = "--" + name.replace("_", "-")
        if value is True:
            found.append(flag)
        elif value is not False:
            found += [flag, str(value)]
    return found


def _package_root() -> str:
    import pipelines

    return str(Path(pipelines.__path__[0]).parent)
