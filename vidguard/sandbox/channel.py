"""Messages between processes: a length, JSON and raw bytes over a socket. Nothing that is received is executed."""

from __future__ import annotations

import json
import os
import socket
import struct
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final, NamedTuple

from vidguard.errors import VidguardError

_LENGTHS: Final = struct.Struct("!II")
_MAX_JSON_BYTES: Final = 1 << 20
MAX_DATA_BYTES: Final = 1 << 20
_MAX_DESCRIPTORS: Final = 2


class ProtocolError(VidguardError):
    """The other side closed the channel, or sent what isn't a message."""


class Message(NamedTuple):
    """What one side tells the other."""

    kind: str
    fields: dict[str, Any]
    data: bytes = b""
    descriptors: tuple[int, ...] = ()


class Channel:
    """One end of a socket pair. Any thread may send, one receives.

    Descriptors are taken only where they are expected: those that a hostile sender adds are dropped by the kernel.
    """

    def __init__(self, end: socket.socket, *, takes_descriptors: bool = False) -> None:
        self._socket = end
        self._takes_descriptors = takes_descriptors
        self._sending = threading.Lock()

    def fileno(self) -> int:
        """The socket's descriptor, as `select` wants it."""
        return self._socket.fileno()

    def send(self, kind: str, /, *, data: bytes = b"", descriptors: Sequence[int] = (), **fields: Any) -> None:
        """Send a message, at most MAX_DATA_BYTES of data with it. Raises ProtocolError where nobody listens."""
        text = json.dumps({"kind": kind, **fields}).encode()
        head = _LENGTHS.pack(len(text), len(data))
        try:
            with self._sending:
                sent = socket.send_fds(self._socket, [head], list(descriptors))
                self._socket.sendall(head[sent:] + text + data)
        except OSError as error:
            raise ProtocolError(f"the other process can't be reached: {error}") from error

    def receive(self, *, until: float | None = None) -> Message:
        """Wait for a message, until a time of time.monotonic() or, on a channel that never had one, for ever.

        Raises TimeoutError, and ProtocolError for the channel's end and for anything malformed.
        """
        head, descriptors = self._head(until)
        try:
            num_text, num_data = _LENGTHS.unpack(head)
            if num_text > _MAX_JSON_BYTES or num_data > MAX_DATA_BYTES:
                raise ProtocolError(f"a message of {num_text} and {num_data} bytes is too long")
            fields = _parse(self._exactly(num_text, until))
            return Message(fields.pop("kind"), fields, self._exactly(num_data, until), descriptors)
        except BaseException:
            for descriptor in descriptors:
                os.close(descriptor)
            raise

    def end(self) -> None:
        """Say that nothing more will be sent; what the other side sends can still be received."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Close this end."""
        self._socket.close()

    def _head(self, until: float | None) -> tuple[bytes, tuple[int, ...]]:
        if not self._takes_descriptors:
            return self._exactly(_LENGTHS.size, until), ()
        self._wait_until(until)
        try:
            head, descriptors, _, _ = socket.recv_fds(self._socket, _LENGTHS.size, _MAX_DESCRIPTORS)
        except (ConnectionError, BlockingIOError) as error:
            raise ProtocolError(f"the other process can't be reached: {error}") from error
        return head + self._exactly(_LENGTHS.size - len(head), until), tuple(descriptors)

    def _exactly(self, size: int, until: float | None) -> bytes:
        received = bytearray()
        while len(received) < size:
            self._wait_until(until)
            try:
                more = self._socket.recv(size - len(received))
            except ConnectionError as error:
                raise ProtocolError(f"the other process can't be reached: {error}") from error
            if not more:
                raise ProtocolError("the other process closed the channel")
            received += more
        return bytes(received)

    def _wait_until(self, until: float | None) -> None:
        if until is not None:  # a decoder always waits, and may not set anything of its socket
            # never 0, which would mean "don't wait at all" and end in another error
            self._socket.settimeout(max(1e-3, until - time.monotonic()))


def _parse(text: bytes) -> dict[str, Any]:
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"a message isn't JSON: {error}") from error
    if not isinstance(fields, dict) or not isinstance(fields.get("kind"), str):
        raise ProtocolError("a message has no kind")
    return fields
