"""A published weight file -> the encoder it belongs to, answering as vidguard's encoders do."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import torch
from safetensors import SafetensorError
from safetensors.torch import load

from vidguard.encoders import ENCODERS, Encoder
from vidguard.errors import InputError, WeightsError
from vidguard.published.keras import fill_from_keras

ARCHITECTURES: Final = ("meso4", "mesoinception4")
_MAX_BYTES: Final = 16 << 20  # the authors' files have 0.2 MB, a whole Keras model with its optimizer three times that
_HDF5: Final = b"\x89HDF\r\n\x1a\n"
_TORCH: Final = (b"PK\x03\x04", b"\x80")  # torch.save's zip, and the bare pickle before it


def read_encoder(path: Path, architecture: str) -> Encoder:
    """Read a weight file into its network, in eval mode on the CPU. The file's first bytes say what it is.

    Keras .h5 (needs h5py): of the MesoNet authors' networks, whose output 1 means real. The sign of the last layer is
    turned, so that `fake_logit` is positive for fakes and sigmoid(fake_logit) is 1 - their output.
    safetensors: the encoder's own state dict, names and signs as `ENCODERS[architecture]().state_dict()` has them.

    Files of torch.save are refused. They are pickles, and torch's restricted unpickler (weights_only) has been broken
    out of (CVE-2025-32434); a child process would run it with the same rights. Whoever trusts a file converts it once.
    Raises WeightsError, InputError on an unknown architecture.
    """
    return build_encoder(read_content(path), path.name, architecture)


def read_content(path: Path) -> bytes:
    """The bytes of a weight file. Raises WeightsError where it can't be read or is larger than any MesoNet."""
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise WeightsError(f"{path} can't be read: {error.strerror}; give a weight file") from error
    if len(content) > _MAX_BYTES:
        raise WeightsError(f"{path} is larger than {_MAX_BYTES >> 20} MiB, which no MesoNet is")
    return content


def build_encoder(content: bytes, name: str, architecture: str) -> Encoder:
    """`read_encoder` of bytes already read; name: of their file, for errors."""
    if architecture not in ARCHITECTURES:
        raise InputError(f"weights can't be imported as {architecture!r}; give one of {', '.join(ARCHITECTURES)}")
    encoder = ENCODERS[architecture]()
    if content.startswith(_HDF5):
        fill_from_keras(encoder, content, name)
        with torch.no_grad():
            for parameter in encoder.get_submodule("head").parameters():
                parameter.neg_()
    elif content.startswith(_TORCH):
        raise WeightsError(
            f"{name} is a pickle of torch.save, which can run code; if you trust it, save its state dict with "
            "safetensors.torch.save_file and import that"
        )
    else:
        _fill_from_safetensors(encoder, content, name)
    _require_sound(encoder, name)
    return encoder.eval()


def _fill_from_safetensors(encoder: Encoder, content: bytes, name: str) -> None:
    try:
        encoder.load_state_dict(load(content))
    except SafetensorError as error:
        raise WeightsError(f"{name} is neither a Keras .h5 file nor safetensors ({error})") from error
    except RuntimeError as error:
        raise WeightsError(f"{name} doesn't hold this network's state dict: {error}") from error


def _require_sound(encoder: Encoder, name: str) -> None:
    for key, tensor in encoder.state_dict().items():
        if not tensor.isfinite().all() or (key.endswith("running_var") and (tensor < 0).any()):
            raise WeightsError(f"{name} holds impossible numbers in {key}; the file is damaged or its training failed")
