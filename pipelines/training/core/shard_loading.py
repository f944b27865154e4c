"""Weights of a sharded model, read from its files row by row: no process ever holds a whole model.

A model is built without memory for its parameters (torch's meta device), sharded, and then filled: each process reads
its own rows of each parameter.
"""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import torch
from torch import Tensor, nn

from pipelines.errors import InvalidInput
from pipelines.files import read_json
from pipelines.training.core.model import load_model

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_WEIGHTS: Final = "model.safetensors"
_INDEX: Final = "model.safetensors.index.json"


def build_empty_model(path: Path) -> "PreTrainedModel":
    """Build the model of a folder with parameters on the meta device, which take no memory, and real buffers.

    Raises:
        InvalidInput: no model there.
    """
    from accelerate import init_empty_weights
    from transformers import AutoConfig, AutoModelForCausalLM, GenerationConfig

    try:
        config = AutoConfig.from_pretrained(str(path))
        with init_empty_weights(include_buffers=False):
            model: PreTrainedModel = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
        if (path / "generation_config.json").is_file():
            model.generation_config = GenerationConfig.from_pretrained(str(path))
    except (OSError, ValueError) as error:
        raise InvalidInput(f"no model can be read from {path}", detail=str(error)) from error
    model.tie_weights()  # parameters moved to the meta device are new ones
    return model.eval()


def allocate_model(path: Path, dtype: torch.dtype, device: torch.device) -> "PreTrainedModel":
    """Build the model of a folder with undefined parameters of this type on a device, to be overwritten."""
    model = build_empty_model(path)
    if _has_stored_buffers(model):
        model = load_model(path)
        for parameter in model.parameters():
            parameter.data = parameter.data.to(dtype)
        return model.to(device)
    with _keeping_buffers(model):
        for parameter in model.parameters():
            parameter.data = parameter.data.to(dtype)
        model.to_empty(device=device)
    model.tie_weights()
    return model.to(device)


class StoredWeights:
    """The weights of a model folder, read in float32, any rows of any parameter.

    Args:
        path: folder with one safetensors file or several and their index.

    Raises:
        InvalidInput: there are no such files, or they are damaged.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        index = read_json(path / _INDEX)
        if isinstance(index, dict):
            self._files = {str(name): path / str(file) for name, file in index.get("weight_map", {}).items()}
        else:
            with self._open(path / _WEIGHTS) as stored:
                self._files = dict.fromkeys(stored.keys(), path / _WEIGHTS)

    def names(self) -> set[str]:
        """Return the names of the parameters in the files."""
        return set(self._files)

    def rows(self, wanted: Mapping[str, tuple[int, int]]) -> Iterator[tuple[str, Tensor]]:
        """Iterate over names and rows of parameters; each file is opened once.

        Args:
            wanted: by name, the first row and the number of rows.
        """
        for file in dict.fromkeys(self._files[name] for name in wanted):
            with self._open(file) as stored:
                for name, (first, count) in wanted.items():
                    if self._files[name] == file:
                        yield name, stored.get_slice(name)[first : first + count].float()

    @contextmanager
    def _open(self, file: Path) -> Iterator[Any]:
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(str(file), framework="pt") as stored:
                yield stored
        except (OSError, SafetensorError) as error:
            raise InvalidInput(f"no model can be read from {self._path}", detail=str(error)) from error


def open_for_sharding(path: Path) -> tuple["PreTrainedModel", StoredWeights | None]:
    """Build a model that is to be sharded over processes.

    Returns:
        The model without weights and its stored weights, for `fill_shards`; or, if its files name their tensors
        otherwise than the model names its parameters, the loaded model and None.
    """
    model = build_empty_model(path)
    weights = StoredWeights(path)
    missing = [name for name, _ in model.named_parameters() if name not in weights.names()]
    if not missing and not _has_stored_buffers(model):
        return model, weights
    sys.stderr.write(
        f"warning: the files of {path} do not store each parameter of a {type(model).__name__} by its name; "
        "every process loads the whole model once\n"
    )
    return load_model(path), None


def fill_shards(
    network: nn.Module, names: Mapping[str, str], weights: StoredWeights, device: torch.device, rank: int
) -> None:
    """Give a sharded network without weights its memory, and read this process's rows of each parameter.

    Args:
        network: sharded by rows with FSDP2.
        names: by name of a parameter of the network, its name in the files. Any other parameter becomes zero.
        weights: the files.
        device: of the shards.
        rank: of this process.
    """
    with _keeping_buffers(network):
        network.to_empty(device=device)
    locals_ = {}
    wanted = {}
    for name, parameter in network.named_parameters():
        local = parameter.detach().to_local()
        if name not in names:
            local.zero_()
            continue
        locals_[names[name]] = local
        # As torch.chunk divides rows: equal parts, of which the last may be smaller or empty.
        chunk = -(-parameter.shape[0] // parameter.device_mesh.size())
        wanted[names[name]] = (min(rank * chunk, parameter.shape[0]), local.shape[0])
    for name, rows in weights.rows(wanted):
        locals_[name].copy_(rows)


@contextmanager
def _keeping_buffers(network: nn.Module) -> Iterator[None]:
    """Restore the network's buffers after the block; `to_empty` would leave them undefined."""
    kept = [
        (module, name, value) for module in network.modules() for name, value in module.named_buffers(recurse=False)
    ]
    yield
    for module, name, value in kept:
        device = getattr(module, name).device
        setattr(module, name, value.to(device))


def _has_stored_buffers(model: nn.Module) -> bool:
    """Return whether files hold more of a model than its parameters."""
    parameters = {name for name, _ in model.named_parameters(remove_duplicate=False)}
    return bool(set(model.state_dict()) - parameters)
