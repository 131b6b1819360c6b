"""Fingerprints as encoders: statistics of a face crop, and a machine fitted to them instead of layers."""

from __future__ import annotations

from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from vidguard.encoders.base import CROP, Encoder, EncoderOutput
from vidguard.errors import InputError
from vidguard.fingerprints import KINDS, Fingerprint

SVM_VECTORS: Final = 150  # 180 kB; an exact machine keeps thousands of 6,000 faces


class FingerprintEncoder(Encoder):
    """One of the fingerprints' `KINDS`. Its features, standardised where the kind says so, are the embedding.

    numpy reads them on the CPU, of the crop as it is. Unlike `native_face`, the pipeline's crops are resampled: what
    that writes over a spectrum is in genuine and fake ones alike, and hides some of what tells them apart.
    """

    input_size = CROP.size
    kind: str
    mean: Tensor
    scale: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.gamma = KINDS[self.kind].gamma
        self.register_buffer("mean", torch.zeros(self.embedding_dim))
        self.register_buffer("scale", torch.ones(self.embedding_dim))
        if self.gamma is not None:
            self.vectors = nn.Parameter(torch.zeros(SVM_VECTORS, self.embedding_dim))
        self.head = nn.Linear(self.embedding_dim if self.gamma is None else SVM_VECTORS, 1)

    def forward(self, crops: Tensor) -> EncoderOutput:
        """(N, 3, 224, 224) float RGB in [0, 1] -> EncoderOutput."""
        embedding = ((self.read(crops).to(crops) - self.mean) / self.scale).nan_to_num(0.0)
        if self.gamma is None:
            return EncoderOutput(embedding, self.head(embedding).squeeze(1))
        # without a product of matrices, whose rounding is as large as small distances
        apart = torch.cdist(embedding, self.vectors, compute_mode="donot_use_mm_for_euclid_dist")
        return EncoderOutput(embedding, self.head(torch.exp(-self.gamma * apart**2)).squeeze(1))

    def read(self, crops: Tensor) -> Tensor:
        """Features (N, D) float64 on the CPU of what `forward` takes; NaN for a crop that has none to read."""
        faces = (crops * 255).round().byte().permute(0, 2, 3, 1).cpu().numpy()
        found = np.array([self._features(face) for face in faces])
        return torch.from_numpy(found.reshape(len(faces), self.embedding_dim))

    def _features(self, face: NDArray[np.uint8]) -> NDArray[np.float64]:
        try:
            return KINDS[self.kind].features(face)
        except InputError:  # of a crop only for want of contrast; judged as the mean face, it speaks for nothing
            return np.full(self.embedding_dim, np.nan)

    @torch.no_grad()
    def take(self, fitted: Fingerprint) -> None:
        """Become what was fitted, apart from its calibration. Raises InputError for one of another kind or size."""
        own = {"mean": fitted.mean, "scale": fitted.scale, "head.weight": fitted.weights[None]}
        own |= {"head.bias": np.array([fitted.intercept])} | ({"vectors": fitted.vectors} if self.gamma else {})
        try:
            self.load_state_dict({name: torch.from_numpy(values) for name, values in own.items()})
        except RuntimeError as error:
            raise InputError(
                f"a {fitted.kind} of {len(fitted.weights)} weights isn't what {self.kind} takes"
            ) from error


class SpectrumLr(FingerprintEncoder):
    """Azimuthal spectrum (Durall et al. 2019) and logistic regression: 301 parameters."""

    kind, embedding_dim = "spectrum-logistic", 300


class SpectrumSvm(FingerprintEncoder):
    """Azimuthal spectrum and an RBF machine of 150 vectors: 45,151 parameters."""

    kind, embedding_dim = "spectrum-svm", 300


class ColorSvm(FingerprintEncoder):
    """Colour statistics and a linear support vector machine: 49 parameters."""

    kind, embedding_dim = "color-svm", 48
