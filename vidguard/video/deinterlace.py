"""Deinterlacing of decoded frames with FFmpeg's bwdif, from the first interlaced frame on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import av
from av.filter import Graph
from av.video.frame import VideoFrame


class Deinterlacer:
    """Passes frames through until one is flagged interlaced; from then on all go through bwdif, one out for one in.

    bwdif leaves progressive frames of mixed material as they are. ``num_interlaced`` counts the others.
    """

    def __init__(self) -> None:
        """Start without a filter: most material never needs one."""
        self.num_interlaced = 0
        self._graph: Graph | None = None
        self._layout: tuple[int, int, str] | None = None
        self._last: VideoFrame | None = None

    def run(self, frames: Iterable[VideoFrame]) -> Iterator[VideoFrame]:
        """Yield as many frames as come in, in order."""
        for frame in frames:
            self.num_interlaced += frame.interlaced_frame
            layout = (frame.width, frame.height, frame.format.name)
            if self._graph is not None and layout != self._layout:
                yield from self._drain()
            if self._graph is None and frame.interlaced_frame:
                self._graph, self._layout = _bwdif(frame), layout
            if self._graph is None:
                yield frame
            else:
                self._graph.vpush(frame)
                self._last = frame
                yield from self._ready()
        yield from self._drain()

    def _drain(self) -> Iterator[VideoFrame]:
        if self._graph is not None and self._last is not None:
            # bwdif looks one frame ahead. Told that the stream ends, it would pass the last frame still combed; so the
            # last frame follows itself, and that copy never comes out.
            if self._last.pts is not None:
                self._last.pts += max(self._last.duration, 1)
            self._graph.vpush(self._last)
            yield from self._ready()
            self._graph = self._last = None

    def _ready(self) -> Iterator[VideoFrame]:
        while self._graph is not None:
            try:
                yield self._graph.vpull()
            except (av.BlockingIOError, av.EOFError):  # nothing more for now, or at all
                return


def _bwdif(frame: VideoFrame) -> Graph:
    graph = Graph()
    source = graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base)
    graph.link_nodes(source, graph.add("bwdif", "mode=send_frame:deint=interlaced"), graph.add("buffersink"))
    graph.configure()
    return graph
