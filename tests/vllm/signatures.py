"""The names that vLLM takes, recorded in signatures.json: fakes in the normal suite check their arguments against them.

`python -m tests.vllm.signatures` in the environment of `make vllm-env` records them again.
"""

import inspect
import json
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any, Final

PATH: Final = Path(__file__).with_name("signatures.json")


@cache
def recorded() -> dict[str, Any]:
    """Return the names by function, as recorded."""
    return dict(json.loads(PATH.read_text(encoding="utf-8")))


def check(function: str, given: Iterable[str]) -> None:
    """Fail if a function of vLLM does not take one of these arguments."""
    known = recorded()[function]
    unknown = sorted(set(given) - set(known))
    assert not unknown, f"vLLM's {function} takes no {', '.join(unknown)}"


def installed() -> dict[str, Any]:
    """Read the names from the installed vLLM; private parts are those that `generation/vllm*.py` use."""
    import vllm
    from vllm.engine.arg_utils import EngineArgs
    from vllm.entrypoints.launchers.cli_args import make_arg_parser
    from vllm.entrypoints.openai.completion.protocol import CompletionRequest
    from vllm.logprobs import FlatLogprobs
    from vllm.utils.argparse_utils import FlexibleArgumentParser
    from vllm.v1.engine.core_client import EngineCoreClient
    from vllm.v1.worker.gpu_model_runner import GPUModelRunner

    def names(function: Any) -> list[str]:
        return [name for name in inspect.signature(function).parameters if name != "self" and name[0] != "_"]

    engine = sorted({*names(vllm.LLM.__init__), *names(EngineArgs.__init__)} - {"kwargs"})
    parser = make_arg_parser(FlexibleArgumentParser())
    flags = sorted({flag for action in parser._actions for flag in action.option_strings if flag.startswith("--")})
    return {
        "LLM": engine,
        "SamplingParams": sorted(names(vllm.SamplingParams)),
        **{
            f"LLM.{name}": names(getattr(vllm.LLM, name))
            for name in ("generate", "collective_rpc", "sleep", "wake_up", "reset_prefix_cache")
        },
        "GPUModelRunner.reload_weights": names(GPUModelRunner.reload_weights),
        "EngineCoreClient.shutdown": names(EngineCoreClient.shutdown),
        "FlatLogprobs": sorted(FlatLogprobs.__dataclass_fields__),
        "CompletionRequest": sorted(CompletionRequest.model_fields),
        "api_server": flags,
    }


if __name__ == "__main__":
    lines = [f" {json.dumps(function)}: {json.dumps(names)}" for function, names in installed().items()]
    PATH.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
