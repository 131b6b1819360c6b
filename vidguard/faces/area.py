"""Exact area resizing of many rectangles at once, from one summed-area table per frame (Crow, SIGGRAPH 1984)."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import torch
import torch.nn.functional as F
from torch import Tensor


class AreaSampler:
    """Resizes rectangles of frames as ``torch.nn.functional.interpolate(mode="area")`` does, without a loop over them.

    frames: (N, 3, H, W) uint8; region: the part (x0, y0, x1, y1), whole pixels, that rectangles will lie in, the whole
    frame if None. Costs 12 bytes a pixel while it lives. Sums are integers, so a result doesn't depend on what else is
    in the batch.
    """

    def __init__(self, frames: Tensor, region: Sequence[int] | None = None) -> None:
        """Sum the frames up."""
        self.height, self.width = frames.shape[2:]
        self._left, self._top, right, bottom = (0, 0, self.width, self.height) if region is None else region
        part = frames[:, :, self._top : bottom, self._left : right]
        # (N, H + 1, W + 1, 3): colours innermost, so that one look-up reads all three.
        self._table = _sum_on_host(part) if part.device.type == "cpu" else _sum_on_device(part)

    def resize(self, height: int, width: int) -> Tensor:
        """The whole region resized to (N, 3, height, width) float32, 0 to 255."""
        origin = torch.zeros(1, dtype=torch.long, device=self._table.device)
        y0, y1 = _cells(origin, origin + (self._table.shape[1] - 1), height)
        x0, x1 = _cells(origin, origin + (self._table.shape[2] - 1), width)
        rows = self._table.index_select(1, y1[0]) - self._table.index_select(1, y0[0])
        sums = rows.index_select(2, x1[0]) - rows.index_select(2, x0[0])
        area = (y1 - y0).mT * (x1 - x0)
        return (sums / area[..., None]).permute(0, 3, 1, 2)

    def crops(self, frame_index: Tensor, rects_px: Tensor, size: int) -> Tensor:
        """Resize rectangles to (K, 3, size, size) float32, 0 to 255.

        frame_index: (K,) long; rects_px: (K, 4) long, half-open (x0, y0, x1, y1), not empty, inside the region.
        """
        _, table_height, table_width, _ = self._table.shape
        x0, y0, x1, y1 = rects_px.unbind(1)
        rows = torch.cat(_cells(y0 - self._top, y1 - self._top, size), 1)
        columns = torch.cat(_cells(x0 - self._left, x1 - self._left, size), 1)
        flat_rows = (frame_index[:, None] * table_height + rows) * table_width
        corners = (flat_rows[:, :, None] + columns[:, None, :]).reshape(-1)
        looked_up = self._table.view(-1, 3).index_select(0, corners).view(len(rects_px), 2, size, 2, size, 3)
        sums = looked_up[:, 1] - looked_up[:, 0]
        sums = sums[:, :, 1] - sums[:, :, 0]
        y_start, y_stop = rows.chunk(2, 1)
        x_start, x_stop = columns.chunk(2, 1)
        area = (y_stop - y_start)[:, :, None] * (x_stop - x_start)[:, None, :]
        return (sums / area[..., None]).permute(0, 3, 1, 2)


# Both return int32, which may wrap around in large frames: differences of wrapped sums are still exact below 2**31, a
# cell of 8 Mpx.
def _sum_on_device(frames: Tensor) -> Tensor:
    along_rows = frames.permute(0, 2, 3, 1).contiguous().cumsum(2, dtype=torch.int32)
    return F.pad(along_rows.cumsum(1, dtype=torch.int32), (0, 0, 1, 0, 1, 0))


def _sum_on_host(frames: Tensor) -> Tensor:
    # OpenCV needs 0.6 ms for a 720p frame where two cumsums and the padding need 17.
    pictures = frames.permute(0, 2, 3, 1).contiguous()
    count, height, width, _ = pictures.shape
    table = torch.empty(count, height + 1, width + 1, 3, dtype=torch.int32)
    for picture, sums in zip(pictures, table):
        cv2.integral(picture.numpy(), sums.numpy(), sdepth=cv2.CV_32S)
    return table


def _cells(start: Tensor, stop: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Cut intervals (K,) into ``count`` cells as adaptive average pooling does; starts, stops (K, count)."""
    i = torch.arange(count, device=start.device)
    start, length = start[:, None], (stop - start)[:, None]
    first = torch.div(i * length, count, rounding_mode="floor")
    last = torch.div((i + 1) * length + count - 1, count, rounding_mode="floor")
    return start + first, start + last
