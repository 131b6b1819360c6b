"""A published weight file -> the encoder it belongs to, answering as vidguard's encoders do."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor

from vidguard.encoders import ENCODERS, Encoder, Xception
from vidguard.errors import InputError, WeightsError
from vidguard.published.keras import fill_from_keras
from vidguard.published.torch_file import read_torch
from vidguard.published.xception import own_names

ARCHITECTURES: Final = ("meso4", "mesoinception4", "xception")
_ROOM: Final = 16 << 20  # bytes besides the weights; a training's checkpoint has its optimizer's two copies of them too
_HDF5: Final = b"\x89HDF\r\n\x1a\n"
_ZIP: Final = b"PK\x03\x04"
_PICKLE: Final = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9"  # protocol 2, and the number that torch.save began with
_WRAPPERS: Final = ("module.", "model.", "backbone.", "net.")
"""What trainings put before a network's own names."""


def read_encoder(path: Path, architecture: str, *, fake_output: int = 1) -> Encoder:
    """Read a weight file into its network, in eval mode on the CPU. The file's first bytes say what it is.

    Keras .h5 (needs h5py): of the MesoNet authors' networks, whose output 1 means real. The sign of the last layer is
    turned, so that `fake_logit` is positive for fakes and sigmoid(fake_logit) is 1 - their output.
    safetensors, and torch.save's files, which are read without being unpickled: a state dict by the encoder's own
    names, as `ENCODERS[architecture]().state_dict()` has them, or by those that FaceForensics++ and DeepfakeBench have
    for Xception's layers. Of two outputs, `fake_output` (0 or 1) is the fake's and their difference the logit.
    Raises WeightsError, InputError on an unknown architecture or output, and on output 0 of a network that has one.
    """
    return build_encoder(read_content(path, architecture), path.name, architecture, fake_output=fake_output)


def read_content(path: Path, architecture: str) -> bytes:
    """The bytes of a weight file. Raises WeightsError where it can't be read or is larger than the network could be."""
    with torch.device("meta"):  # its size alone is asked for
        network = _network(architecture)
    most = 4 * sum(4 * parameter.numel() for parameter in network.parameters()) + _ROOM
    try:
        with path.open("rb") as file:
            content = file.read(most + 1)
    except OSError as error:
        raise WeightsError(f"{path} can't be read: {error.strerror}; give a weight file") from error
    if len(content) > most:
        raise WeightsError(f"{path} is larger than {most >> 20} MiB, which no {architecture} is")
    return content


def build_encoder(content: bytes, name: str, architecture: str, *, fake_output: int = 1) -> Encoder:
    """`read_encoder` of bytes already read; name: of their file, for errors."""
    if fake_output not in (0, 1):
        raise InputError(f"the fake's output must be 0 or 1, got {fake_output}")
    encoder, outputs = _network(architecture), 1
    if content.startswith(_HDF5):
        fill_from_keras(encoder, content, name)
        with torch.no_grad():
            for parameter in encoder.get_submodule("head").parameters():
                parameter.neg_()
    elif content.startswith(_PICKLE):
        raise WeightsError(
            f"{name} is a bare pickle, as torch.save wrote before its version 1.6; if you trust it, load its state "
            "dict with torch and save it again"
        )
    else:
        state = read_torch(content, name) if content.startswith(_ZIP) else _from_safetensors(content, name)
        outputs = _fill(encoder, state, name, fake_output)
    if outputs == 1 and fake_output == 0:
        raise InputError(f"{name} is of a network with one output: there is none to choose as the fake's")
    _require_sound(encoder, name)
    return encoder.eval()


def _network(architecture: str) -> Encoder:
    if architecture not in ARCHITECTURES:
        raise InputError(f"weights can't be imported as {architecture!r}; give one of {', '.join(ARCHITECTURES)}")
    return ENCODERS[architecture]()


def _from_safetensors(content: bytes, name: str) -> dict[str, Tensor]:
    try:
        return load(content)
    except (SafetensorError, KeyError) as error:  # KeyError: numbers of a type that torch hasn't
        raise WeightsError(f"{name} is no Keras .h5 file, no torch.save file and no safetensors ({error})") from error


def _fill(encoder: Encoder, state: dict[str, Tensor], name: str, fake_output: int) -> int:
    """Fill the encoder from a state dict of one or two outputs; gives how many there were."""
    state = _unwrapped(state)
    if isinstance(encoder, Xception):
        state = own_names(state)
    outputs = 1
    for key in ("head.weight", "head.bias"):
        if key in state and state[key].ndim > 0 and len(state[key]) == 2:
            state[key] = state[key][fake_output : fake_output + 1] - state[key][1 - fake_output : 2 - fake_output]
            outputs = 2
    try:
        encoder.load_state_dict(state)
    except RuntimeError as error:
        raise WeightsError(f"{name} doesn't hold this network's state dict: {error}") from error
    return outputs


def _unwrapped(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The names without what trainings put before all of them."""
    wrapper = next((w for w in _WRAPPERS if state and all(key.startswith(w) for key in state)), None)
    return state if wrapper is None else _unwrapped({k.removeprefix(wrapper): v for k, v in state.items()})


def _require_sound(encoder: Encoder, name: str) -> None:
    for key, tensor in encoder.state_dict().items():
        if not tensor.isfinite().all() or (key.endswith("running_var") and (tensor < 0).any()):
            raise WeightsError(f"{name} holds impossible numbers in {key}; the file is damaged or its training failed")
