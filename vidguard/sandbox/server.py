"""The child's side: a process that loads the readers once and forks, for every source, one that decodes it.

The server itself never reads a source. Each decoder is confined before it does, serves one source, and is killed when
the other end of its channel closes.
"""

from __future__ import annotations

import gc
import importlib
import os
import select
import signal
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from mmap import mmap
from typing import Any, Final, NoReturn

import numpy as np
from pydantic import TypeAdapter

from vidguard.config import Limits
from vidguard.errors import DecoderCrash, VidguardError
from vidguard.sandbox.channel import Channel, Message, ProtocolError
from vidguard.sandbox.confine import confine
from vidguard.sandbox.lent import LentFile, RemoteFile
from vidguard.types import FrameBatch, SourceInfo

STATE: Final = ("notes", "troubles", "num_frames_decoded", "end_seconds")
"""What a reader tells of itself with every message; the parent's reader has the same names."""
_BEAT_SECONDS: Final = 0.5
_ORPHAN_CHECK_SECONDS: Final = 1.0


def main(descriptor: int, prepare: str) -> None:
    """Load what `prepare` ("module:function") loads, then fork on request until the channel ends."""
    control = Channel(socket.socket(fileno=descriptor), takes_descriptors=True)
    try:
        resolve(prepare)()
    except Exception as error:  # noqa: BLE001  # whatever it is, the parent is to say it
        control.send("failed", why=f"{type(error).__name__}: {error}")
        return
    control.send("ready")
    gc.freeze()  # a collection in a child would touch, and so copy, all of these pages
    _Server(control).run()


def resolve(name: str) -> Callable[..., Any]:
    """Find "module:function"."""
    module, _, function = name.partition(":")
    found: Callable[..., Any] = getattr(importlib.import_module(module), function)
    return found


class _Server:
    def __init__(self, control: Channel) -> None:
        self._control = control
        self._children: dict[int, Channel] = {}
        self._parent = os.getppid()
        self._wake, waker = socket.socketpair()
        for end in (self._wake, waker):
            end.setblocking(False)
        self._waker = waker
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(waker.fileno(), warn_on_full_buffer=False)

    def run(self) -> None:
        while os.getppid() == self._parent:  # a fork of the parent may keep the channel open after its end
            poll = select.poll()
            poll.register(self._control, select.POLLIN)
            poll.register(self._wake, select.POLLIN)
            for channel in self._children.values():
                poll.register(channel, select.POLLRDHUP)
            ready = {descriptor for descriptor, _ in poll.poll(1000 * _ORPHAN_CHECK_SECONDS)}
            for pid, channel in self._children.items():
                if channel.fileno() in ready:
                    os.kill(pid, signal.SIGKILL)  # not reaped yet, so the number is still its own
            if self._wake.fileno() in ready:
                self._wake.recv(4096)
            self._reap()
            if self._control.fileno() in ready:
                try:
                    self._fork(self._control.receive())
                except ProtocolError:
                    return  # the decoders end with this process

    def _reap(self) -> None:
        for pid in list(self._children):
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                channel = self._children.pop(pid)
                try:
                    channel.send("exit", code=os.waitstatus_to_exitcode(status))
                except ProtocolError:
                    pass  # nobody is left to be told
                finally:
                    channel.close()

    def _fork(self, request: Message) -> None:
        end = request.descriptors[0]
        pid = os.fork()
        if pid == 0:
            self._become_decoder(request)
        self._children[pid] = Channel(socket.socket(fileno=end))
        for descriptor in request.descriptors[1:]:
            os.close(descriptor)

    def _become_decoder(self, request: Message) -> NoReturn:
        """Never returns, so that nothing of the server runs twice."""
        code = 1
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for name in os.listdir("/proc/self/fd"):  # noqa: PTH208  # the other decoders' channels among them
                if int(name) > 2 and int(name) not in request.descriptors:
                    _close(int(name))
            channel = Channel(socket.socket(fileno=request.descriptors[0]), takes_descriptors=True)
            decoder = _Decoder(channel, request)
            decoder.answer(decoder.run)
            code = 0
        except ProtocolError:
            code = 0  # the parent has had enough
        finally:
            os._exit(code)


def _close(descriptor: int) -> None:
    with suppress(OSError):  # the listing's own
        os.close(descriptor)


class _Decoder:
    """Confines itself, opens one source and answers what its reader is asked."""

    def __init__(self, channel: Channel, request: Message) -> None:
        self._channel = channel
        self._request = request
        self._reader: Any = None
        self._room: Any = b""

    def run(self) -> None:
        """Serve one source until the channel ends."""
        asked = self._request.fields
        opener = resolve(asked["opener"])  # before: afterwards nothing can be imported
        server = os.getppid()
        layers = confine(memory_bytes=asked["memory_bytes"], cpu_seconds=asked["cpu_seconds"])
        if os.getppid() != server:  # it ended before this process was bound to it
            return
        self._channel.send("confined", layers=layers)
        self.answer(lambda: self._open(opener, asked))
        if self._reader is None:
            return
        threading.Thread(target=self._beat, daemon=True).start()
        while True:
            request = self._channel.receive()
            self.answer(partial(getattr(self, f"_{request.kind}"), **request.fields))

    def answer(self, work: Callable[[], object]) -> None:
        """Do what was asked, and tell what went wrong."""
        try:
            work()
        except ProtocolError:
            raise
        except VidguardError as error:
            self._send("error", type=type(error).__name__, why=str(error))
        except MemoryError:
            limit = self._request.fields["memory_bytes"]
            self._send("error", type=DecoderCrash.__name__, why=f"it asked for more than max_decoder_bytes={limit}")
        except Exception as error:  # noqa: BLE001  # a decoder may raise anything; the parent is to say it
            self._send("error", type=DecoderCrash.__name__, why=f"{type(error).__name__}: {error}")

    def _open(self, opener: Callable[..., Any], asked: dict[str, Any]) -> None:
        known = asked["source"]
        file: Any = RemoteFile(self._ask, size_bytes=known["size_bytes"])
        if len(self._request.descriptors) > 1:
            file = os.fdopen(self._request.descriptors[1], "rb")
        self._reader = opener(LentFile(file, **known), limits=Limits(**asked["limits"]), **asked["arguments"])
        self._send("opened", backend=self._reader.backend)

    def _frames_at(self, times_seconds: list[float]) -> None:
        self._deliver(self._reader.frames_at(times_seconds))

    def _batches(self, **settings: Any) -> None:
        batches = self._reader.batches(**settings)
        self._send("begun")
        for batch in batches:
            self._deliver(batch)
        self._send("end")

    def _deliver(self, batch: FrameBatch) -> None:
        """Copy a batch into memory of the parent's, who makes it, and so knows what it is, and says when it is free."""
        pixels = batch.frames.numpy()
        if pixels.size:
            for descriptor in self._ask("room", size=pixels.nbytes).descriptors:
                self._room = mmap(descriptor, pixels.nbytes)
                os.close(descriptor)
            np.copyto(np.frombuffer(self._room, np.uint8, pixels.nbytes).reshape(pixels.shape), pixels)
        self._send("batch", shape=pixels.shape, times=batch.pts_seconds)

    def _ask(self, kind: str, **fields: Any) -> Message:
        self._channel.send(kind, **fields)
        answer = self._channel.receive()
        if answer.kind == "failed":
            raise OSError(answer.fields["why"])
        return answer

    def _send(self, kind: str, **fields: Any) -> None:
        state: dict[str, Any] = {}
        if self._reader is not None:
            state = {name: getattr(self._reader, name, None) for name in STATE}
            state["info"] = TypeAdapter(SourceInfo).dump_json(self._reader.info).decode()
        self._channel.send(kind, **fields, **state)

    def _beat(self) -> None:
        """Tell that frames are decoded, however few of them are wanted."""
        decoded = 0
        try:
            while True:
                time.sleep(_BEAT_SECONDS)
                if self._reader.num_frames_decoded != decoded:
                    decoded = self._reader.num_frames_decoded
                    self._channel.send("decoded", num_frames_decoded=decoded)
        except ProtocolError:
            return
