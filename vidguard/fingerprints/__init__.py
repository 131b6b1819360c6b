"""Cheap detectors of stills by hand-made statistics of a face's own pixels: its frequency spectrum and its colours.

numpy and safetensors are all that judging needs; scikit-learn is needed to fit one.
"""

from __future__ import annotations

from vidguard.fingerprints.color import color_statistics
from vidguard.fingerprints.face import native_face
from vidguard.fingerprints.fingerprint import KINDS, Fingerprint, load_fingerprint, save_fingerprint
from vidguard.fingerprints.fit import fit_fingerprint, fit_small, require_scikit_learn
from vidguard.fingerprints.spectrum import azimuthal_spectrum

__all__ = [
    "KINDS",
    "Fingerprint",
    "azimuthal_spectrum",
    "color_statistics",
    "fit_fingerprint",
    "fit_small",
    "load_fingerprint",
    "native_face",
    "require_scikit_learn",
    "save_fingerprint",
]
