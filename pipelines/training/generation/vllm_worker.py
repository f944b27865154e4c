"""What runs inside vLLM's processes: loading weights into its workers, and the entry of a server.

`WeightLoader` is a worker extension of vLLM (`--worker-extension-cls`). As a module this runs vLLM's API server, which
ends with the process that started it.
"""

import ctypes
import logging
import runpy
import signal
from collections.abc import Iterable
from typing import Any, Final

_PR_SET_PDEATHSIG: Final = 1


def load_weights(worker: Any, weights: Iterable[tuple[str, Any]] | None = None, path: str | None = None) -> None:
    """Load weights in the layout of transformers over those of a worker.

    Args:
        worker: a worker of vLLM.
        weights: (name, tensor) pairs, consumed one at a time; None reads them from `path`.
        path: a model's folder.
    """
    # It warns each time of tied heads and rotary embeddings; a weight that is truly missing is named by the caller.
    logging.getLogger("vllm.model_executor.model_loader.reload.layerwise").setLevel(logging.ERROR)
    runner = worker.model_runner
    runner.reload_weights(weights_iterator=weights, weights_path=path)
    # A head tied to the embeddings is not loaded by itself, but on a CPU it holds a packed copy of them.
    head = getattr(runner.get_model(), "lm_head", None)
    method = getattr(head, "quant_method", None)
    if method is not None and getattr(runner.model_config.hf_text_config, "tie_word_embeddings", False):
        method.process_weights_after_loading(head)


class WeightLoader:
    """Adds to each worker of a server what `/collective_rpc` calls after an update."""

    def load_weight_files(self, path: str) -> None:
        """Load the weights of a model's folder."""
        load_weights(self, path=path)


if __name__ == "__main__":
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    runpy.run_module("vllm.entrypoints.openai.api_server", run_name="__main__", alter_sys=True)
