"""The parent's side of one decoder: a VideoReader whose frames come from a confined process.

Nothing that comes back is trusted: messages are data of stated types, sizes and times are checked, and pixels are
copied out of the memory that both share before anyone looks at them.
"""

from __future__ import annotations

import mmap
import os
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from math import isfinite, prod
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from pydantic import TypeAdapter, ValidationError

from vidguard import errors
from vidguard.closing import Closing
from vidguard.config import Limits
from vidguard.errors import DecoderCrash, InputError, VidguardError
from vidguard.sandbox.channel import Channel, Message, ProtocolError
from vidguard.sandbox.lent import LentFile, new_memory, serve
from vidguard.types import FrameBatch, SourceInfo

if TYPE_CHECKING:
    import torch

_MAX_NOTES: Final = 100
_MAX_NOTE_CHARACTERS: Final = 1000
_BATCH_SIZE: Final = 8
"""What readers take where batches() isn't told."""
_END_SECONDS: Final = 10.0
"""How long a killed process may take to be gone; only one that hangs in the kernel takes long."""
START_SECONDS: Final = 120.0
"""How long the server may take to load the readers, on a busy machine with a cold disk."""


class SandboxedReader(Closing):
    """A reader that runs in a process of its own. See `vidguard.video.VideoReader`.

    Where the decoder dies, hangs or breaks its limits after frames were given, these are all there is: the source is
    `damaged` and a note says why. Before that it is a DecoderCrash.
    """

    def __init__(
        self,
        channel: Channel,
        lent: LentFile,
        limits: Limits,
        device: torch.device,
    ) -> None:
        """Take over the channel of a decoder that was just asked for.

        lent: what it may ask to read; released by `close`.
        """
        self.num_frames_decoded = 0
        self.end_seconds: float | None = None
        """When the last frame that was decoded stops being shown."""
        self.layers: tuple[str, ...] = ()
        """What confines the decoder: "seccomp", "landlock", "memory limit 4 GiB"."""
        self._channel = channel
        self._lent = lent
        self._limits = limits
        self._device = device
        self._notes: tuple[str, ...] = ()
        self._troubles: tuple[str, ...] = ()
        self._ended: tuple[str, ...] = ()
        self._taken = False
        self._room: mmap.mmap | None = None
        """Memory that both share; kept, for new memory costs ten times what a copy does."""
        self._given = 0
        self._last_time = float("-inf")
        self._most_frames = 0
        self._latest = time.monotonic() + START_SECONDS
        try:
            confined = self._expect("confined", wait=START_SECONDS)
            self.layers = tuple(map(str, confined.fields.get("layers", ())))
            self._latest = time.monotonic() + limits.max_work_seconds
            opened = self._expect("opened")
            if not hasattr(self, "info"):
                raise self._crash("described no source")
            self.backend = str(opened.fields.get("backend"))
        except BaseException:
            self.close()
            raise

    @property
    def notes(self) -> tuple[str, ...]:
        """What happened on the way, in sentences; grows while frames are read."""
        return self._notes + self._ended

    @property
    def troubles(self) -> tuple[str, ...]:
        """Of the notes those that say why not all of the source was seen."""
        return self._troubles + self._ended

    @property
    def damaged(self) -> bool:
        """Whether there are troubles."""
        return bool(self.troubles)

    def batches(self, **settings: Any) -> Iterator[FrameBatch]:
        """Decode and yield as the reader in the child does; see VideoReader."""
        self._take(settings.get("batch_size", _BATCH_SIZE))
        self._ask("batches", **settings)
        self._expect("begun")
        return self._batches()

    def frames_at(self, times_seconds: Sequence[float]) -> FrameBatch:
        """Give the frames shown at increasing times; see VideoReader."""
        self._take(len(times_seconds))
        self._ask("frames_at", times_seconds=list(times_seconds))
        return self._batch(self._expect("batch"))

    def close(self) -> None:
        """End the decoder and wait until it is gone; the caller's file object stays open."""
        self._room = None
        self._channel.end()
        until = time.monotonic() + _END_SECONDS
        try:
            while True:
                self._channel.receive(until=until)
        except (ProtocolError, TimeoutError, OSError):
            self._channel.close()
        self._lent.release()

    def _take(self, most_frames: int) -> None:
        if self._taken:
            raise InputError("a source is read once; open it again for another pass")
        self._taken, self._most_frames = True, most_frames

    def _batches(self) -> Iterator[FrameBatch]:
        while True:
            try:
                message = self._expect("batch", "end")
                if message.kind == "end":
                    return
                batch = self._batch(message)
            except DecoderCrash as crash:
                if not self._given:
                    raise
                self._ended = (f"{crash}; {self._given} frames had been given before",)
                return
            yield batch

    def _ask(self, kind: str, **fields: Any) -> None:
        with suppress(ProtocolError):  # it has died; what it, or its server, said last is still there to be read
            self._channel.send(kind, **fields)

    def _expect(self, *kinds: str, wait: float | None = None) -> Message:
        """Wait for one of some messages, serving what the decoder asks for meanwhile.

        Raises what the decoder raised, if it is one of the library's errors, and DecoderCrash.
        """
        wait = self._limits.max_stall_seconds if wait is None else wait
        until = time.monotonic() + wait
        while True:
            try:
                message = self._channel.receive(until=min(until, self._latest))
            except TimeoutError:
                limits = self._limits
                late = time.monotonic() >= self._latest
                which = f"max_work_seconds={limits.max_work_seconds:g}" if late else f"max_stall_seconds={wait:g}"
                raise self._crash(f"gave no further frame within {which} and was ended") from None
            except ProtocolError as error:
                raise self._crash(f"is gone: {error}") from error
            decoded = self.num_frames_decoded
            self._update(message.fields)
            if message.kind in kinds:
                return message
            began = time.monotonic()
            if self.num_frames_decoded > self._limits.max_frames:
                raise self._crash(f"was ended after max_frames={self._limits.max_frames}")
            self._serve(message)
            # what reading takes here, from a slow pipe, is no fault of the decoder's
            until = time.monotonic() + (wait if self.num_frames_decoded > decoded else until - began)

    def _serve(self, message: Message) -> None:
        fields = message.fields
        if message.kind == "read":
            try:
                data = serve(self._lent.file, message)
            except ValueError as error:
                raise self._crash(f"sent {error}") from error
            except OSError as error:
                self._ask("failed", why=str(error))
            else:
                self._ask("data", data=data)
        elif message.kind == "room":
            self._make_room(fields.get("size"))
        elif message.kind == "error":
            kind = getattr(errors, str(fields.get("type")), None)
            why = str(fields.get("why"))[:_MAX_NOTE_CHARACTERS]
            if kind is DecoderCrash or not (isinstance(kind, type) and issubclass(kind, VidguardError)):
                raise self._crash(f"failed: {why}")
            raise kind(why)
        elif message.kind == "exit":
            raise self._crash(_fate(fields.get("code")))
        elif message.kind != "decoded":
            raise self._crash(f"sent {message.kind!r}, which nobody waits for")

    def _make_room(self, size: object) -> None:
        most = 3 * self._limits.max_pixels * self._most_frames
        if type(size) is not int or not 0 < size <= most:
            raise self._crash(f"asked for room for {size} bytes of frames")
        if self._room is not None and size <= len(self._room):
            self._ask("room")  # what was there is copied, so it is free again
            return
        descriptor = new_memory("frames", size)
        try:
            self._room = mmap.mmap(descriptor, size, prot=mmap.PROT_READ)
            self._ask("room", descriptors=(descriptor,))
        finally:
            os.close(descriptor)

    def _batch(self, message: Message) -> FrameBatch:
        """Check what came and copy it; it is the caller's then."""
        import torch

        try:
            shape = tuple(message.fields["shape"])
            times = tuple(float(one) for one in message.fields["times"])
            if len(shape) != 4 or shape[1] != 3 or not all(type(side) is int and side >= 0 for side in shape):
                raise ValueError("frames of no shape")
            if shape[0] > self._most_frames or shape[2] * shape[3] > self._limits.max_pixels:
                raise ValueError(f"frames of shape {shape}, beyond what was asked for or max_pixels")
            size = prod(shape)
            shared: Any = b"" if self._room is None else self._room
            if size > len(shared):
                raise ValueError("more bytes of frames than there is room for")
            frames = torch.empty(shape, dtype=torch.uint8)
            np.copyto(frames.numpy(), np.frombuffer(shared, np.uint8, size).reshape(shape))
            batch = FrameBatch(frames.to(self._device), times)
            if times and times[0] <= self._last_time:
                raise ValueError("times that go back")
        except (KeyError, TypeError, ValueError, ArithmeticError, RuntimeError) as error:  # InputError is a ValueError
            raise self._crash(f"sent frames that can't be: {error}") from error
        self._last_time = times[-1] if times else self._last_time
        self._given += len(batch)
        return batch

    def _update(self, fields: dict[str, Any]) -> None:
        """Take what the reader says of itself, of the right types only."""
        decoded, notes = fields.get("num_frames_decoded"), fields.get("notes")
        troubles, end = fields.get("troubles"), fields.get("end_seconds")
        if type(decoded) is int and decoded >= self.num_frames_decoded:
            self.num_frames_decoded = decoded
        if isinstance(notes, list):
            self._notes = tuple(str(note)[:_MAX_NOTE_CHARACTERS] for note in notes[:_MAX_NOTES])
        if isinstance(troubles, list):
            self._troubles = tuple(str(note)[:_MAX_NOTE_CHARACTERS] for note in troubles[:_MAX_NOTES])
        if type(end) is float and isfinite(end):
            self.end_seconds = end
        if "info" in fields:
            self.info = _read_info(fields["info"], self._lent)

    def _crash(self, what: str) -> DecoderCrash:
        """End the decoder."""
        self.close()
        return DecoderCrash(f"the process that decodes {self._lent.name} {what}")


def _read_info(text: object, known: LentFile) -> SourceInfo:
    try:
        info = TypeAdapter(SourceInfo).validate_json(str(text))
    except ValidationError as error:
        raise DecoderCrash(f"{known.name} was described as no source can be: {error.errors()[0]['msg']}") from error
    # Which file it was isn't the decoder's to say.
    return replace(info, name=known.name, size_bytes=known.size_bytes, sha256=known.sha256)


def _fate(code: object) -> str:
    if type(code) is int and code < 0:
        try:
            name = signal.Signals(-code).name
        except ValueError:
            name = f"signal {-code}"
        reasons = {"SIGXCPU": ", out of CPU time", "SIGKILL": ", by itself, the system or for want of memory"}
        return f"was ended by {name}{reasons.get(name, '')}"
    return f"ended with code {code}"
