"""The names that Xception's layers have in the files of FaceForensics++ and DeepfakeBench."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from torch import Tensor

_UNUSED = "adjust_channel."
_HEADS = ("last_linear.1.", "last_linear.", "fc.")


def own_names(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A published state dict under the names of `encoders.Xception`; what has no known name keeps its own.

    DeepfakeBench's files hold a layer for inputs of other channels too, which its Xception doesn't use.
    """
    layers = dict(_layers()) | {head.removesuffix("."): "head" for head in _HEADS}
    renamed = {}
    for key, tensor in state.items():
        layer, _, parameter = key.rpartition(".")
        if not key.startswith(_UNUSED):
            renamed[f"{layers.get(layer, layer)}.{parameter}"] = tensor
    return renamed


def _layers() -> Iterator[tuple[str, str]]:
    """(theirs, ours) of every layer but the last."""
    yield from (("conv1", "features.0"), ("bn1", "features.1"), ("conv2", "features.3"), ("bn2", "features.4"))
    for block in range(1, 13):
        theirs, ours, middle = f"block{block}", f"features.{5 + block}", 4 <= block <= 11
        for number in range(3 if middle else 2):
            opening = int(block > 1)  # the ReLU that all but the first begin with
            # theirs count a separable convolution as one layer, ours as two
            their, own = opening + 3 * number, opening + 4 * number
            yield from _separable(f"{theirs}.rep.{their}", f"{theirs}.rep.{their + 1}", f"{ours}.layers", own)
        if not middle:
            yield f"{theirs}.skip", f"{ours}.shortcut.0"
            yield f"{theirs}.skipbn", f"{ours}.shortcut.1"
    yield from _separable("conv3", "bn3", "features", 18)
    yield from _separable("conv4", "bn4", "features", 22)


def _separable(convolution: str, norm: str, ours: str, start: int) -> Iterator[tuple[str, str]]:
    names = (f"{convolution}.conv1", f"{convolution}.pointwise", norm)
    yield from ((theirs, f"{ours}.{start + index}") for index, theirs in enumerate(names))
