"""The caller's side: one server, and a decoder for each source that is opened."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from dataclasses import asdict
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from vidguard.closing import Closing
from vidguard.config import Limits
from vidguard.errors import BackendError
from vidguard.sandbox.channel import Channel, ProtocolError
from vidguard.sandbox.lent import LentFile, descriptor_of
from vidguard.sandbox.reader import START_SECONDS, SandboxedReader

if TYPE_CHECKING:
    import torch

# What the server's environment is: no secret of the caller's, only how libraries are found and how many threads work.
_ENVIRONMENT: Final = ("LD_LIBRARY_PATH", "LANG", "LC_ALL", "LC_CTYPE", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
# One thread until a decoder is forked, for only that one is copied; few heaps, whose address space counts as memory.
# Memory of frames is kept for the next ones: to give it back and take it anew costs a decoder a tenth of its time.
_SETTINGS: Final = {
    "OPENBLAS_NUM_THREADS": "1",
    "MALLOC_ARENA_MAX": "2",
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": str(1 << 33),
    "PATH": os.defpath,
}
_MAIN: Final = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from vidguard.sandbox.server import main; main(int(sys.argv[2]), sys.argv[3])"
)
_PACKAGE: Final = Path(__file__).resolve().parents[2]


class Sandbox(Closing):
    """Starts decoders; used in a ``with`` block, by any number of threads, and by the process that made it only.

    A server process loads the readers once, beside the caller, and forks a decoder for each source. A decoder can read
    its source and answer, nothing else: it opens no file, network or process, and its memory and CPU time are limited.
    It ends with its reader, and everything ends with the caller. Where the system has no way to confine a process
    (anything but Linux), sources are decoded in the caller's, and `note` says so.
    """

    def __init__(self, *, prepare: str = "vidguard.video.isolated:prepare") -> None:
        """Start the server and return at once.

        prepare: "module:function" that loads what decoders need, called in the server.
        """
        self.available = sys.platform == "linux" and hasattr(os, "memfd_create") and bool(sys.executable)
        self._prepare = prepare
        self._owner = os.getpid()
        self._lock = threading.Lock()
        self._layers: tuple[str, ...] = ()
        self._process: subprocess.Popen[bytes] | None = None
        self._control: Channel | None = None
        self._ready = False
        if self.available:
            self._start()

    @property
    def note(self) -> str:
        """What the sandbox gave, for the report: known once a source was opened."""
        if not self.available:
            return f"no sandbox on this platform ({sys.platform}): decoded in this process"
        return f"decoded in a child process: {', '.join(self._layers)}"

    def open(
        self,
        opener: str,
        lent: LentFile,
        *,
        limits: Limits,
        device: torch.device,
        **arguments: Any,
    ) -> SandboxedReader:
        """Open a source in a child by opener, a "module:function" that is called there.

        It is called as ``opener(LentFile, limits=limits, **arguments)``, with arguments that JSON can carry, and gives
        a reader on the CPU, whose frames are moved to device. Raises what opener raises of the library's errors,
        DecoderCrash where the child dies, and BackendError where none can be started.
        """
        if os.getpid() != self._owner:
            raise BackendError("a Sandbox belongs to the process that made it; make one in this process")
        descriptor = descriptor_of(lent.file)
        ours, theirs = socket.socketpair()
        known = {"name": lent.name, "size_bytes": lent.size_bytes, "sha256": lent.sha256}
        channel = Channel(ours)
        try:
            self._request(
                (theirs.fileno(), *(() if descriptor is None else (descriptor,))),
                opener=opener,
                source=known,
                limits=asdict(limits),
                arguments=arguments,
                memory_bytes=limits.max_decoder_bytes,
                cpu_seconds=ceil(limits.max_work_seconds * (os.cpu_count() or 1)),
            )
        except BaseException:
            channel.close()
            raise
        finally:
            theirs.close()
            if descriptor is not None:
                os.close(descriptor)
        reader = SandboxedReader(channel, lent, limits, device)
        self._layers = reader.layers
        return reader

    def close(self) -> None:
        """End the server, and with it all decoders."""
        with self._lock:
            if os.getpid() == self._owner:
                self._stop()

    def _request(self, descriptors: tuple[int, ...], **fields: Any) -> None:
        with self._lock:
            try:
                self._server().send("decode", descriptors=descriptors, **fields)
            except ProtocolError:  # a server that was killed is no reason to fail this source
                self._stop()
                self._server().send("decode", descriptors=descriptors, **fields)

    def _server(self) -> Channel:
        """The server's channel, once it has loaded what it needs."""
        if self._control is None:
            self._start()
        assert self._control is not None
        if not self._ready:
            try:
                answer = self._control.receive(until=time.monotonic() + START_SECONDS)
            except (ProtocolError, TimeoutError) as error:
                self._stop()
                raise BackendError(f"the sandbox's process didn't start: {error}; decode without a sandbox") from error
            if answer.kind != "ready":
                self._stop()
                raise BackendError(f"the sandbox's process didn't start: {answer.fields.get('why')}")
            self._ready = True
        return self._control

    def _start(self) -> None:
        ours, theirs = socket.socketpair()
        # as absolute paths, and without the working folder, which may be one of uploads
        path = [str(_PACKAGE), *(entry for entry in sys.path if Path(entry).is_absolute())]
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603  # this Python, and nothing of a source's
                [sys.executable, "-I", "-c", _MAIN, json.dumps(path), str(theirs.fileno()), self._prepare],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
                cwd="/",
                env={name: os.environ[name] for name in _ENVIRONMENT if name in os.environ} | _SETTINGS,
                start_new_session=True,  # Ctrl-C is the caller's, who closes this
            )
        self._control = Channel(ours)
        self._ready = False

    def _stop(self) -> None:
        if self._control is not None:
            self._control.close()
            self._control = None
        if self._process is not None:
            if not self._ready:  # it won't look before it has loaded
                self._process.kill()
            self._process.wait()
            self._process = None
