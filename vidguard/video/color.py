"""From YUV to RGB, and from HDR to SDR, as pure torch functions for any device."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import torch
from torch import Tensor

Matrix = Literal["bt601", "bt709", "bt2020"]
Transfer = Literal["sdr", "pq", "hlg"]

# (Kr, Kb), the luma weights of red and blue: ITU-R BT.601-7, BT.709-6, BT.2020-2.
_LUMA_WEIGHTS: Final[dict[Matrix, tuple[float, float]]] = {
    "bt601": (0.299, 0.114),
    "bt709": (0.2126, 0.0722),
    "bt2020": (0.2627, 0.0593),
}
# Linear BT.2020 to BT.709 primaries, both D65: ITU-R BT.2087-0 (inverted).
_BT2020_TO_BT709: Final = ((1.6605, -0.5876, -0.0728), (-0.1246, 1.1329, -0.0083), (-0.0182, -0.1006, 1.1187))
# HDR reference white (ITU-R BT.2408) and the peak the curve maps to full white, in cd/m2.
_WHITE_NITS: Final = 203.0
_PEAK_NITS: Final = 1000.0
# Where the roll-off begins, relative to reference white: skin lies below it and keeps its contrast.
_KNEE: Final = 0.6


@dataclass(frozen=True)
class ColorSpec:
    """How a stream's numbers mean colours."""

    matrix: Matrix
    full_range: bool
    transfer: Transfer = "sdr"
    is_tagged: bool = True
    """Whether the stream names its matrix; where it doesn't, the height decides."""


def nv12_to_rgb(luma: Tensor, chroma: Tensor, spec: ColorSpec, *, bit_depth: int = 8) -> Tensor:
    """Convert one semi-planar 4:2:0 picture to (3, H, W) float RGB on its device, each in [0, 1] and still non-linear.

    luma: (H, W) uint8, or uint16 with the bit_depth significant bits on top (P010, P016); chroma: (h, w, 2) likewise,
    Cb then Cr, h and w half of H and W rounded either way. Chroma is replicated, not interpolated: that is what swscale
    does in 8 bit, so that the GPU agrees with the CPU within 3 of 255; in 10 bit swscale interpolates, and the two
    differ more along edges of colour. Source: ITU-R BT.601, BT.709, BT.2020.
    """
    height, width = luma.shape
    rows = (torch.arange(height, device=luma.device) // 2).clamp_(max=chroma.shape[0] - 1)
    columns = (torch.arange(width, device=luma.device) // 2).clamp_(max=chroma.shape[1] - 1)
    # int32 first: indexing and arithmetic on uint16 are not complete in torch.
    cb, cr = chroma.to(torch.int32)[rows][:, columns].to(torch.float32).unbind(-1)
    y = luma.to(torch.int32).to(torch.float32)
    if luma.dtype != torch.uint8:
        shift = 2.0 ** (16 - bit_depth)
        y, cb, cr = y / shift, cb / shift, cr / shift
    step = 2.0 ** (bit_depth - 8)
    if spec.full_range:
        scale = 2.0**bit_depth - 1
        y, cb, cr = y / scale, (cb - 128 * step) / scale, (cr - 128 * step) / scale
    else:
        y, cb, cr = (y / step - 16) / 219, (cb / step - 128) / 224, (cr / step - 128) / 224
    kr, kb = _LUMA_WEIGHTS[spec.matrix]
    red = y + 2 * (1 - kr) * cr
    blue = y + 2 * (1 - kb) * cb
    green = (y - kr * red - kb * blue) / (1 - kr - kb)
    return torch.stack((red, green, blue)).clamp_(0, 1)


def tone_map_to_sdr(rgb: Tensor, transfer: Transfer) -> Tensor:
    """Map HDR (3, H, W) float non-linear BT.2020 RGB in [0, 1] to SDR BT.709 of the same form; SDR passes unchanged.

    Simple and fixed: 203 cd/m2 is white, highlights up to 1,000 cd/m2 roll off above 0.6 of it with the hue kept, the
    display gamma is 2.4. No metadata of the scene or display is used. Sources: ITU-R BT.2100 (PQ, HLG), BT.2408.
    """
    if transfer == "sdr":
        return rgb
    linear = (_pq_to_nits(rgb) if transfer == "pq" else _hlg_to_nits(rgb)) / _WHITE_NITS
    to_bt709 = torch.tensor(_BT2020_TO_BT709, dtype=rgb.dtype, device=rgb.device)
    linear = torch.einsum("oc,chw->ohw", to_bt709, linear).clamp_(min=0)
    brightest = linear.amax(0, keepdim=True).clamp_(min=1e-6)
    return (linear * (_roll_off(brightest) / brightest)).clamp_(0, 1).pow_(1 / 2.4)


def to_uint8(rgb: Tensor) -> Tensor:
    """Round RGB in [0, 1] to uint8."""
    return (rgb * 255).round_().to(torch.uint8)


def _roll_off(level: Tensor) -> Tensor:
    peak = (_PEAK_NITS / _WHITE_NITS - _KNEE) / (1 - _KNEE)
    above = ((level - _KNEE) / (1 - _KNEE)).clamp(min=0, max=peak)
    # Reinhard's extended curve (2002, eq. 4): slope 1 at the knee, exactly white at the peak.
    return torch.minimum(level, torch.full_like(level, _KNEE)) + (1 - _KNEE) * above * (1 + above / peak**2) / (
        1 + above
    )


def _pq_to_nits(code: Tensor) -> Tensor:
    m1, m2, c1, c2, c3 = 2610 / 16384, 2523 / 4096 * 128, 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32
    power = code.pow(1 / m2)
    return 10_000 * ((power - c1).clamp_(min=0) / (c2 - c3 * power)).pow_(1 / m1)


def _hlg_to_nits(code: Tensor) -> Tensor:
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    scene = torch.where(code <= 0.5, code**2 / 3, (((code - c) / a).exp() + b) / 12)
    kr, kb = _LUMA_WEIGHTS["bt2020"]
    luminance = kr * scene[0] + (1 - kr - kb) * scene[1] + kb * scene[2]
    return _PEAK_NITS * scene * luminance.clamp_(min=1e-6).pow(0.2)  # system gamma 1.2 at 1,000 cd/m2
