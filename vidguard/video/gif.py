"""How long a GIF's pictures are shown."""

from __future__ import annotations

from typing import Final

from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream

# Firefox, Chrome and Safari show what asks for 0 or 1 hundredths of a second for 10: https://bugzil.la/125137
_SHORTEST_TICKS: Final = 2
_STANDS_FOR_TICKS: Final = 10


class GifClock:
    """Times a GIF's packets as browsers do; those of other containers pass unchanged."""

    def __init__(self, container: InputContainer) -> None:
        """Start before the first packet."""
        self._runs = container.format.name == "gif"
        self._ticks = 0

    def set(self, packet: Packet[VideoStream]) -> None:
        """Set a packet's time and duration, in hundredths of a second."""
        if self._runs and packet.size:
            asked = packet.duration or 0
            packet.duration = asked if asked >= _SHORTEST_TICKS else _STANDS_FOR_TICKS
            packet.pts = packet.dts = self._ticks
            self._ticks += packet.duration
