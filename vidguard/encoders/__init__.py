"""Frame-level encoders: each judges one face crop alone and gives the embedding that the temporal model reads."""

from __future__ import annotations

from typing import Final

from torch import nn

from vidguard.encoders.amten import (
    Amten,
    AmtenNet,
    AmtenNetConstrained,
    AmtenNetHighPass,
    AmtenNetNone,
    AmtenNetSrm,
)
from vidguard.encoders.base import CROP, Encoder, EncoderOutput, StagedEncoder, prepare_crops
from vidguard.encoders.clip_vit import ClipVitB16
from vidguard.encoders.efficientnet_lite import EfficientNetLite0
from vidguard.encoders.fingerprint import ColorSvm, FingerprintEncoder, SpectrumLr, SpectrumSvm
from vidguard.encoders.high_pass_cnn import HighPassCnn
from vidguard.encoders.inverted_residual import ConvBn
from vidguard.encoders.meso import Meso4, MesoInception4
from vidguard.encoders.mislnet import MislNet
from vidguard.encoders.mobilenet import MobileNetV2
from vidguard.encoders.xception import Xception

ENCODERS: Final[dict[str, type[Encoder]]] = {
    "meso4": Meso4,
    "mesoinception4": MesoInception4,
    "amtennet": AmtenNet,
    "amtennet_none": AmtenNetNone,
    "amtennet_srm": AmtenNetSrm,
    "amtennet_constrained": AmtenNetConstrained,
    "amtennet_high_pass": AmtenNetHighPass,
    "mislnet": MislNet,
    "high_pass_cnn": HighPassCnn,
    "xception": Xception,
    "mobilenet_v2": MobileNetV2,
    "efficientnet_lite0": EfficientNetLite0,
    "clip_vit_b16": ClipVitB16,
    "spectrum-lr": SpectrumLr,
    "spectrum-svm": SpectrumSvm,
    "color-svm": ColorSvm,
}


def fold_batch_norms(module: nn.Module) -> None:
    """Make trained networks cheaper where they can be: see `ConvBn.fold`. In place; module is in eval mode."""
    for layer in list(module.modules()):
        if isinstance(layer, ConvBn):
            layer.fold()


__all__ = [
    "CROP",
    "ENCODERS",
    "Amten",
    "AmtenNet",
    "AmtenNetConstrained",
    "AmtenNetHighPass",
    "AmtenNetNone",
    "AmtenNetSrm",
    "ClipVitB16",
    "ColorSvm",
    "EfficientNetLite0",
    "Encoder",
    "EncoderOutput",
    "FingerprintEncoder",
    "HighPassCnn",
    "Meso4",
    "MesoInception4",
    "MislNet",
    "MobileNetV2",
    "SpectrumLr",
    "SpectrumSvm",
    "StagedEncoder",
    "Xception",
    "fold_batch_norms",
    "prepare_crops",
]
