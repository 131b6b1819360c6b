"""Faces of nobody, by a generative network; optional: `vidguard[generate]` and the network's own package.

Network: MobileStyleGAN (Belousov 2021, arXiv:2104.04767), StyleGAN2 trained on FFHQ distilled into a smaller one. Its
files are read out of the installed random_face package, whose own code isn't run. The package is Apache-2.0; the
network it was distilled from and FFHQ are licensed for non-commercial use (NVIDIA's licence, CC BY-NC-SA 4.0).
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from vidguard.errors import InputError
from vidguard.forge.blend import ByteImage

NETWORK: Final = "mobilestylegan"
_STYLE: Final = 512
_MEAN_OF: Final = 4096
_NOISE_FROM: Final = 4  # px: noise is a square of at least this side, one number for all channels
# bfloat16, which OpenVINO takes where the processor has it, moves a pixel by 1.3 of 255 and is no faster on one core.
_OPTIONS: Final = {"INFERENCE_NUM_THREADS": 1, "INFERENCE_PRECISION_HINT": "f32"}
_INSTALL_NETWORK: Final = "pip install --no-deps random_face==2021.7.21.1"


class FaceGenerator:
    """Draws pictures of faces that nobody has. Not thread-safe; 0.4 s a picture on one core."""

    def __init__(self) -> None:
        try:
            import openvino
        except ImportError as error:
            raise InputError(f"generated faces need: pip install 'vidguard[generate]' && {_INSTALL_NETWORK}") from error
        folder, core = _network_folder(), openvino.Core()
        mapping = core.read_model(folder / "MappingNetwork.xml")
        mapping.reshape([-1, _STYLE])
        self._map = core.compile_model(mapping, "CPU", _OPTIONS)
        synthesis = core.read_model(folder / "SynthesisNetwork.xml")
        self._noise_std = _open_noise(openvino, synthesis)
        self._synthesize = core.compile_model(synthesis, "CPU", _OPTIONS)
        drawn = np.random.default_rng(0).standard_normal((_MEAN_OF, _STYLE), np.float32)
        self._mean: NDArray[np.float32] = self._map(drawn)[0].mean(0, keepdims=True)

    def draw(self, seed: int, *, truncation: float) -> ByteImage:
        """Picture (1024, 1024, 3) uint8 RGB of one face; the same for the same seed and truncation.

        truncation: from 0, the network's average face, to 1, as varied as those it learnt from, with more failures.
        """
        if not 0 <= truncation <= 1:
            raise InputError(f"truncation must lie in 0 to 1, got {truncation:g}")
        rng = np.random.default_rng(seed)
        style = self._map(rng.standard_normal((1, _STYLE), np.float32))[0]
        noise = {
            name: rng.standard_normal(shape, np.float32) * np.float32(std)
            for name, (shape, std) in self._noise_std.items()
        }
        made = self._synthesize({"style": self._mean + truncation * (style - self._mean), **noise})
        return np.asarray(np.round((made["img"][0].transpose(1, 2, 0).clip(-1, 1) + 1) * 127.5), np.uint8)


def _open_noise(openvino: Any, network: Any) -> dict[str, tuple[tuple[int, ...], float]]:
    """Turn the noise that was frozen into the network into inputs; gives their names with shape and deviation.

    Frozen, it is one pattern in all pictures, and a detector would learn the pattern.
    """
    opened: dict[str, tuple[tuple[int, ...], float]] = {}
    inputs = []
    for node in network.get_ops():
        shape = tuple(node.output(0).get_shape()) if node.get_type_name() == "Constant" else ()
        if len(shape) == 4 and shape[:2] == (1, 1) and shape[2] == shape[3] >= _NOISE_FROM:
            name = f"noise{len(opened)}"
            fresh = openvino.opset13.parameter(shape, np.float32, name=name)
            fresh.output(0).set_names({name})
            for user in node.output(0).get_target_inputs():
                user.replace_source_output(fresh.output(0))
            inputs.append(fresh)
            opened[name] = (shape, float(node.data.std()))
    network.add_parameters(inputs)
    network.validate_nodes_and_infer_types()
    return opened


def _network_folder() -> Path:
    spec = importlib.util.find_spec("random_face")
    if spec is None or spec.origin is None:
        raise InputError(f"generated faces need the network's files: {_INSTALL_NETWORK}")
    folder = Path(spec.origin).parent / "data"
    if not (folder / "SynthesisNetwork.xml").is_file():
        raise InputError(f"this random_face has no network inside: {_INSTALL_NETWORK}")
    return folder
