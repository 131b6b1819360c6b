"""Reads the weights in a Keras 2 file without Keras: HDF5, of which only plain numbers are accepted.

Such a file could name other files to read (external links, external storage, virtual datasets), hold Python objects,
unpack into far more than its size, or run filters from plugins. Keras writes none of that, so all of it is refused, and
no dataset is read before the shape of every one is known to be what the network has.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from io import BytesIO
from typing import Any, Final, TypeAlias

import numpy as np
import torch
from torch import Tensor, nn

from vidguard.errors import WeightsError

_MAX_OBJECTS: Final = 1000
"""Groups and datasets; MesoInception-4 comes with 107."""
_MAX_DEPTH: Final = 8

# what Keras calls a layer and its weights, and what torch does
_LAYERS: Final[dict[str, tuple[type[nn.Module], dict[str, str]]]] = {
    "conv2d": (nn.Conv2d, {"kernel": "weight", "bias": "bias"}),
    "batch_normalization": (
        nn.BatchNorm2d,
        {"gamma": "weight", "beta": "bias", "moving_mean": "running_mean", "moving_variance": "running_var"},
    ),
    "dense": (nn.Linear, {"kernel": "weight", "bias": "bias"}),
}
# Keras' axes in torch's order, by their number: convolutions (H, W, in, out), dense layers (in, out), vectors
_AXES: Final = {4: (3, 2, 0, 1), 2: (1, 0), 1: (0,)}
_WEIGHT: Final = re.compile(r"(?:^|/)(conv2d|batch_normalization|dense)(?:_(\d{1,6}))?/([a-z_]+)(?::0)?$")
_Layers: TypeAlias = "dict[str, dict[int, dict[str, Any]]]"


def fill_from_keras(network: nn.Module, content: bytes, name: str) -> None:
    """Fill a network, in place, from the content of a file that Keras' save_weights or save wrote.

    Keras numbers the layers of a kind in the order in which they are made; the network's own, in the order of
    `modules()`, must be as many and of the same shapes. Axes are put into torch's order; nothing else is changed.
    name: of the file, for errors. Raises WeightsError on anything that is not such a file, and without h5py.
    """
    try:
        import h5py
    except ImportError as error:
        raise WeightsError("reading Keras' .h5 files needs h5py: pip install 'vidguard[keras]'") from error
    try:
        with h5py.File(BytesIO(content), "r") as file, torch.no_grad():
            for tensor, dataset in _pairs(network, _layers(file, name), name):
                values = torch.from_numpy(np.asarray(dataset[()], np.float32))
                tensor.copy_(values.permute(_AXES[values.ndim]))
    except (OSError, RuntimeError, KeyError, ValueError, TypeError) as error:  # what h5py raises on damage
        raise WeightsError(f"{name} is damaged or no HDF5 file ({error}); download it again") from error


def _layers(file: Any, name: str) -> _Layers:
    """Kind -> number -> weight's name -> dataset, nothing read yet."""
    layers: _Layers = {kind: {} for kind in _LAYERS}
    for path, dataset in _datasets(file, name):
        matched = _WEIGHT.search(path)
        if matched is None:
            raise WeightsError(f"{name} holds {path}, which no MesoNet has; give a file that Keras 2 wrote of one")
        weights = layers[matched[1]].setdefault(int(matched[2] or 0), {})
        if matched[3] in weights:
            raise WeightsError(f"{name} holds {matched[0]} twice; give a file of one network")
        weights[matched[3]] = dataset
    return layers


def _datasets(file: Any, name: str) -> Iterator[tuple[str, Any]]:
    """Every dataset of the file with its path, the optimizer's left out; refuses what is no plain array of floats."""
    import h5py

    waiting: list[tuple[str, Any]] = [("", file)]
    seen = 0
    while waiting:
        path, node = waiting.pop()
        if isinstance(node, h5py.Dataset):
            _require_plain(path, node, name)
            yield path, node
            continue
        if not isinstance(node, h5py.Group) or path.count("/") > _MAX_DEPTH:
            raise WeightsError(f"{name} holds {path}, which Keras doesn't write; give its original weight file")
        seen += len(node)
        if seen > _MAX_OBJECTS:
            raise WeightsError(f"{name} holds more than {_MAX_OBJECTS} objects; give a file of the weights alone")
        for key in node:
            if path == "" and key == "optimizer_weights":
                continue
            if not isinstance(node.get(key, getlink=True), h5py.HardLink):
                raise WeightsError(f"{name} holds a link, {path}/{key}, that could lead elsewhere; it is not followed")
            waiting.append((f"{path}/{key}", node[key]))


def _require_plain(path: str, dataset: Any, name: str) -> None:
    plain = (
        dataset.dtype.kind == "f"
        and dataset.dtype.itemsize <= 8
        and not dataset.is_virtual
        and dataset.external is None
        and dataset.chunks is None  # chunks alone can be packed or filtered
    )
    if not plain:
        raise WeightsError(f"{path} in {name} is no plain array of floats; give the file as Keras wrote it")


def _pairs(network: nn.Module, layers: _Layers, name: str) -> list[tuple[Tensor, Any]]:
    """The network's tensors, each with the dataset that belongs in it; counts and shapes must fit."""
    pairs: list[tuple[Tensor, Any]] = []
    own = type(network).__name__
    for kind, (module_type, names) in _LAYERS.items():
        modules = [module for module in network.modules() if isinstance(module, module_type)]
        numbered = sorted(layers[kind].items())
        if len(numbered) != len(modules):
            raise WeightsError(f"{name} has {len(numbered)} layers {kind}, {own} has {len(modules)}: another network?")
        for module, (number, weights) in zip(modules, numbered):
            if set(weights) != set(names):
                found = ", ".join(sorted(weights))
                raise WeightsError(f"{kind} {number} of {name} holds {found}; {own} needs {', '.join(names)}")
            for theirs, ours in names.items():
                tensor, dataset = getattr(module, ours), weights[theirs]
                axes = _AXES[tensor.ndim]
                if dataset.ndim != tensor.ndim or tuple(dataset.shape[a] for a in axes) != tuple(tensor.shape):
                    raise WeightsError(f"{theirs} of {kind} {number} in {name} is {dataset.shape}: another network?")
                pairs.append((tensor, dataset))
    return pairs
