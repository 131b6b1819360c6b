"""Fitting a picture into a larger canvas without changing its shape."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Letterbox:
    """A picture scaled to fit a canvas and centred on it, black around. Sizes are (width, height) in pixels."""

    canvas: tuple[int, int]
    size: tuple[int, int]
    """Of the scaled picture."""
    left: int
    top: int
    scale: tuple[float, float]
    """Canvas pixels a pixel of the picture, across and down."""

    @staticmethod
    def fit(picture: tuple[int, int], canvas: tuple[int, int]) -> Letterbox:
        """Make a picture as large as the canvas holds."""
        factor = min(canvas[0] / picture[0], canvas[1] / picture[1])
        width, height = (min(max(1, round(side * factor)), limit) for side, limit in zip(picture, canvas))
        return Letterbox(
            canvas=canvas,
            size=(width, height),
            left=(canvas[0] - width) // 2,
            top=(canvas[1] - height) // 2,
            scale=(width / picture[0], height / picture[1]),
        )

    def place(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Give the canvas (H, W, 3) uint8 with the picture (h, w, 3) on it."""
        if self.size == self.canvas == (picture.shape[1], picture.shape[0]):
            return np.array(picture, order="C")
        shrinks = self.scale[0] < 1
        scaled = cv2.resize(picture, self.size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
        placed: NDArray[np.uint8] = np.zeros((self.canvas[1], self.canvas[0], 3), np.uint8)
        placed[self.top : self.top + self.size[1], self.left : self.left + self.size[0]] = scaled
        return placed

    def box(self, box_xyxy: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
        """Move a box from the picture to the canvas."""
        across, down = self.scale
        x0, y0, x1, y1 = box_xyxy
        return self.left + x0 * across, self.top + y0 * down, self.left + x1 * across, self.top + y1 * down
