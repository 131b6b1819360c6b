"""The sandbox: the same frames, no way out, and an end to everything that goes wrong in it."""

from __future__ import annotations

import gc
import gzip
import io
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from struct import pack, unpack_from

import media
import pytest
import sandbox_openers
import torch
from hard_files import HARD_FILES
from PIL import Image

from vidguard.config import Limits
from vidguard.errors import BackendError, DecoderCrash, InputError, LimitError, SourceError, VidguardError
from vidguard.sandbox import LentFile, Sandbox, SandboxedReader
from vidguard.sandbox.channel import Channel
from vidguard.sandbox.confine import _MACHINES, _filter
from vidguard.video import open_source
from vidguard.video.isolated import open_sandboxed
from vidguard.video.keyframes import open_key_frames

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="there is no sandbox elsewhere")

CPU, DEFAULT = torch.device("cpu"), Limits()
LAYERS = "seccomp, landlock, memory limit 6 GiB"


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as one:
        yield one


@pytest.fixture(scope="module")
def clip() -> bytes:
    return media.encode(media.frames(), container="matroska")


def outcome(source: object, **settings: object) -> list[object]:
    """Everything a reader says, or the error."""
    try:
        with open_source(source, **settings) as reader:  # type: ignore[arg-type]
            told: list[object] = []
            for batch in reader.batches(batch_size=7):
                told += [(time, frame.numpy().tobytes()) for time, frame in zip(batch.pts_seconds, batch.frames)]
            return [*told, reader.info, reader.backend, reader.notes, reader.damaged, reader.num_frames_decoded]
    except VidguardError as error:
        return [type(error), str(error)]


def picture(**settings: object) -> bytes:
    out = io.BytesIO()
    Image.fromarray(media.pattern(3)).save(out, "JPEG", **settings)
    return out.getvalue()


@pytest.mark.parametrize("hard", HARD_FILES, ids=lambda hard: hard.name)
def test_hard_files_read_the_same(sandbox: Sandbox, hard: media.HardFile) -> None:
    data = hard.make()
    assert outcome(data, sandbox=sandbox) == outcome(data)


@pytest.mark.parametrize("data", [picture(), picture()[:900], b"GIF89a"], ids=["still", "damaged still", "no still"])
def test_stills_read_the_same(sandbox: Sandbox, data: bytes) -> None:
    assert outcome(data, sandbox=sandbox) == outcome(data)


class Pipe(io.RawIOBase):
    """Bytes that come once, a few at a time."""

    def __init__(self, data: bytes) -> None:
        self._left = data

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        size = min(1000, len(self._left) if size < 0 else size)
        taken, self._left = self._left[:size], self._left[size:]
        return taken


def test_every_kind_of_source_reads_the_same(sandbox: Sandbox, clip: bytes, tmp_path: Path) -> None:
    path = media.save(tmp_path, "clip.mkv", clip)
    packed = media.save(tmp_path, "clip.gz", gzip.compress(clip))
    with path.open("rb") as plain, gzip.open(packed) as unpacked, tempfile.TemporaryFile() as copy:
        copy.write(clip)
        for source in (path, clip, plain, io.BytesIO(clip), copy, unpacked):
            assert outcome(source, sandbox=sandbox) == outcome(source)
            assert source is path or source is clip or not source.closed  # type: ignore[union-attr]
    assert outcome(Pipe(clip), sandbox=sandbox) == outcome(Pipe(clip))
    cut = Limits(max_bytes=len(clip) // 2)
    assert outcome(Pipe(clip), sandbox=sandbox, limits=cut) == outcome(Pipe(clip), limits=cut)
    assert outcome(clip, sandbox=sandbox, limits=cut)[0] is LimitError


def test_a_file_that_cannot_be_read_is_the_same_error(sandbox: Sandbox, clip: bytes) -> None:
    class Broken(Pipe):
        def read(self, size: int = -1) -> bytes:
            if len(self._left) < len(clip) // 2:
                raise OSError(5, "the disk is gone")
            return super().read(size)

    expected = outcome(Broken(clip))
    assert expected[0] is SourceError
    assert outcome(Broken(clip), sandbox=sandbox) == expected


def test_frames_at_and_key_frames_read_the_same(sandbox: Sandbox, clip: bytes) -> None:
    for times in ([], [0.05, 0.4, 0.41]):
        with open_source(clip, sandbox=sandbox) as child, open_source(clip) as direct:
            given, expected = child.frames_at(times), direct.frames_at(times)
        assert given.pts_seconds == expected.pts_seconds
        assert torch.equal(given.frames, expected.frames)
    with open_key_frames(clip, max_frames=3, sandbox=sandbox) as child, open_key_frames(clip, max_frames=3) as direct:
        for given, expected in zip(child.batches(), direct.batches(), strict=True):
            assert given.pts_seconds == expected.pts_seconds
            assert torch.equal(given.frames, expected.frames)
        assert (child.info, child.damaged, child.notes) == (direct.info, direct.damaged, direct.notes)


def test_wrong_use_is_the_same_error(sandbox: Sandbox, clip: bytes) -> None:
    with open_source(clip, sandbox=sandbox) as reader:
        list(reader.batches())
        with pytest.raises(InputError, match="read once"):
            reader.batches()
    with open_source(clip, sandbox=sandbox) as reader, pytest.raises(InputError, match="batch_size"):
        reader.batches(batch_size=0)
    with pytest.raises(BackendError, match="in this process"):
        open_source(clip, sandbox=sandbox, backend="pyav-nvdec", device="cpu")


def test_frames_belong_to_the_caller(sandbox: Sandbox, clip: bytes) -> None:
    """They can be written to, and outlive the reader."""
    with open_source(clip, sandbox=sandbox) as reader:
        batches = list(reader.batches(batch_size=3))
    for batch in batches:
        batch.frames.add_(1)
    with open_source(clip) as direct:
        for batch, expected in zip(batches, direct.batches(batch_size=3), strict=True):
            assert torch.equal(batch.frames, expected.frames + 1)


def stand_in(sandbox: Sandbox, opener: str, limits: Limits = DEFAULT, **arguments: object) -> SandboxedReader:
    return open_sandboxed(f"sandbox_openers:{opener}", b"harmless bytes", sandbox, limits, CPU, **arguments)


def light() -> Sandbox:
    """One for readers that give no frame, whose server starts without torch."""
    return Sandbox(prepare="sandbox_openers:nothing")


def test_the_child_reaches_nothing(sandbox: Sandbox) -> None:
    with stand_in(sandbox, "tries") as reader:
        list(reader.batches())
        outcomes = dict(note.split(": ", 1) for note in reader.notes)
    assert outcomes.keys() == sandbox_openers.ATTEMPTS.keys()
    refusals = {
        "Operation not permitted",
        "Permission denied",
        "Bad file descriptor",
        "not allowed to raise maximum limit",
    }
    assert not {name: told for name, told in outcomes.items() if told not in refusals}
    assert sandbox.note == f"decoded in a child process: {LAYERS}"


_ALONE = """
import sys
from vidguard.sandbox import confine
for name in {left_out!r}:
    setattr(confine, name, lambda libc: False)
import sandbox_openers
layers = confine.confine(memory_bytes=1 << 30, cpu_seconds=100)
told = [f"{{name}}: {{sandbox_openers._outcome(sandbox_openers.ATTEMPTS[name])}}" for name in {attempts!r}]
sys.stdout.write("\\n".join([", ".join(layers), *told]))
"""


@pytest.mark.parametrize(
    ("left_out", "attempts", "layers"),
    [
        (["_landlock"], ["write a new file", "read a file", "connect", "run a program", "fork"], "seccomp, memory"),
        (
            ["_seccomp"],
            ["write a new file", "read a file", "list a folder", "connect", "run a program"],
            "landlock, mem",
        ),
    ],
)
def test_each_layer_holds_alone(left_out: list[str], attempts: list[str], layers: str) -> None:
    here = [str(Path(__file__).parent), *sys.path]
    code = f"import sys; sys.path[:] = {here!r}\n" + _ALONE.format(left_out=left_out, attempts=attempts)
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split("\n")
    assert told[0].startswith(layers)
    assert all(re.search("not permitted|denied", line) for line in told[1:]), told


@pytest.mark.parametrize(
    ("deed", "why"),
    [
        ("die by SIGKILL", "ended by SIGKILL"),
        ("die by SIGSEGV", "ended by SIGSEGV"),
        ("exit", "ended with code 7"),
        ("allocate", "max_decoder_bytes=134217728"),
        ("raise", "ValueError: invalid literal"),
        ("spin", "no further frame within max_stall_seconds=1 "),
        ("sleep", "no further frame within max_stall_seconds=1 "),
    ],
)
def test_what_goes_wrong_in_the_child_is_told(sandbox: Sandbox, deed: str, why: str) -> None:
    limits = Limits(max_stall_seconds=1, max_decoder_bytes=1 << 27)
    with pytest.raises(DecoderCrash, match=why):
        stand_in(sandbox, "does", limits, deed=deed, after=-1)
    with stand_in(sandbox, "does", limits, deed=deed, after=0) as reader, pytest.raises(DecoderCrash, match=why):
        list(reader.batches())
    with stand_in(sandbox, "does", limits, deed=deed, after=2) as reader:
        assert [batch.pts_seconds for batch in reader.batches()] == [(0.0,), (1.0,)]
        assert reader.damaged
        assert re.search(f"{why}.*; 2 frames had been given before", reader.notes[-1])
    with stand_in(sandbox, "does", deed=deed, after=99) as reader:  # and the next source is read as ever
        assert len(list(reader.batches())) == 5


def test_work_has_an_end_however_busy_the_child_is(sandbox: Sandbox) -> None:
    with stand_in(sandbox, "does", Limits(max_work_seconds=1), deed="spin") as reader:
        assert len(list(reader.batches())) == 2
    assert "max_work_seconds=1 " in reader.notes[-1]


def test_cpu_time_ends_a_process_that_nobody_watches() -> None:
    code = (
        f"import sys; sys.path[:] = {sys.path!r}\n"
        "from vidguard.sandbox.confine import confine\nconfine(memory_bytes=1 << 30, cpu_seconds=1)\nwhile True: pass"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == -signal.SIGXCPU


def test_frames_between_batches_count(sandbox: Sandbox) -> None:
    with stand_in(sandbox, "does", Limits(max_frames=3), deed="sleep", after=4) as reader:
        assert len(list(reader.batches())) == 4  # what was there is given
    assert "max_frames=3;" in reader.notes[-1]


def test_a_slow_pipe_is_not_taken_for_a_decoder_that_hangs(sandbox: Sandbox, clip: bytes) -> None:
    class Slow(Pipe):
        def read(self, size: int = -1) -> bytes:
            time.sleep(0.8)
            return super().read(size)

    limits = Limits(max_stall_seconds=2)
    assert outcome(Slow(clip), sandbox=sandbox, limits=limits) == outcome(Pipe(clip), limits=limits)


@pytest.mark.parametrize(("machine", "column"), _MACHINES.values(), ids=_MACHINES)
def test_the_filter_of_each_machine(machine: int, column: int) -> None:
    """Run the program as the kernel would, on the machine that is there and on the other."""
    program = _filter(machine, column)

    def verdict(number: int, *arguments: int, machine: int = machine) -> int:
        loaded, at = 0, 0
        data = pack("=IIQ6Q", number, machine, 0, *arguments, *[0] * (6 - len(arguments)))
        while True:
            code, jump_true, jump_false, value = program[at]
            at += 1
            if code == 0x06:
                return value
            if code == 0x20:
                (loaded,) = unpack_from("=I", data, value)
            else:
                holds = {0x15: loaded == value, 0x35: loaded >= value, 0x45: bool(loaded & value)}[code]
                at += jump_true if holds else jump_false

    allowed, refused, missing, killed = 0x7FFF0000, 0x50001, 0x50026, 0x80000000
    read, openat, execve, socket, kill, mmap, clone, clone3, tgkill, prlimit, prctl = (
        (0, 257, 59, 41, 62, 9, 56, 435, 234, 302, 157),
        (63, 56, 221, 198, 129, 222, 220, 435, 131, 261, 167),
    )[column]
    assert verdict(read) == allowed
    assert {verdict(number) for number in (openat, execve, socket, kill, 9999)} == {refused}
    assert verdict(read, machine=machine + 1) == verdict(read + 0x40000000) == killed
    assert verdict(mmap, 0, 4096, 1 | 2) == allowed
    assert verdict(mmap, 0, 4096, 1 | 4) == refused
    assert (verdict(clone, 0x3D0F00), verdict(clone, 17), verdict(clone3)) == (allowed, refused, missing)
    assert (verdict(tgkill, os.getpid(), 1, 9), verdict(tgkill, 1, 1, 9)) == (allowed, refused)
    assert (verdict(prlimit, 0, 3, 0), verdict(prlimit, 0, 3, 1 << 40)) == (allowed, refused)
    assert (verdict(prctl, 15), verdict(prctl, 22)) == (allowed, refused)


def test_the_child_does_not_say_which_file_it_was(sandbox: Sandbox) -> None:
    with stand_in(sandbox, "does", deed="exit", after=99) as child, open_source(picture()) as known:
        assert (child.info.name, child.info.size_bytes) == ("<bytes>", len(b"harmless bytes"))
        assert child.info.sha256 not in (None, "0" * 64, known.info.sha256)


@pytest.mark.parametrize(
    ("shape", "times"),
    [
        ([9, 3, 16, 16], [float(index) for index in range(9)]),
        ([1, 4, 16, 16], [0.0]),
        ([16, 16, 3], [0.0]),
        ([1, 3, 16, 16], [0.0, 1.0]),
        ([2, 3, 16, 16], [1.0, 1.0]),
        ([1, 3, 16, 16], [float("nan")]),
        ([1, 3, 16, 16], ["soon"]),
        ([1, 3, 8192, 8192], [0.0]),
    ],
)
def test_frames_that_cannot_be_are_refused(sandbox: Sandbox, shape: list[int], times: list[object]) -> None:
    with stand_in(sandbox, "speaks", shape=shape, times=times) as reader, pytest.raises(DecoderCrash):
        list(reader.batches())


_OPENED = (("confined", {"layers": []}), ("opened", {"info": '{"kind": "video", "name": "x"}', "backend": "pyav"}))


@pytest.mark.parametrize(
    "messages",
    [
        (("confined", {}), ("opened", {"info": '{"kind": "no"}'})),
        (("confined", {}), ("opened", {})),
        (("error", {"type": "SystemExit", "why": "all must end"}),),
        (("confined", {}), ("read", {"size": 1 << 40, "at": 0})),
        (("confined", {}), ("read", {"size": 1, "at": 1 << 100})),
        (("confined", {}), ("read", {"size": "1", "at": [0]})),
        (("confined", {}), ("dance", {})),
        (*_OPENED, ("begun", {}), ("room", {"size": 1 << 50})),
        (*_OPENED, ("begun", {}), ("room", {"size": "large"})),
        (*_OPENED, ("begun", {}), ("batch", {})),
        (*_OPENED, ("begun", {}), ("batch", {"shape": [1, 3, 16, 16], "times": [0.0]})),
        (*_OPENED, ("begun", {}), ("batch", {"shape": [1, 1 << 60, 16, 16], "times": [0.0]})),
        (*_OPENED, ("begun", {}), ("batch", {"shape": [0, 3, 0, 1 << 80], "times": []})),
        (*_OPENED, ("begun", {}), ("room", {"size": 768}), ("batch", {"shape": [1, 3, 16, 16], "times": [10**400]})),
    ],
)
def test_messages_that_cannot_be_are_a_crash(messages: tuple[tuple[str, dict[str, object]], ...]) -> None:
    """Here the decoder is this test, as if one had been taken over."""
    ours, theirs = socket.socketpair()
    with theirs:
        hostile = Channel(theirs)
        for kind, fields in messages:
            hostile.send(kind, **fields)
    with pytest.raises(DecoderCrash):
        list(SandboxedReader(Channel(ours), LentFile(io.BytesIO(b"x"), "x", 1, None), DEFAULT, CPU).batches())


@pytest.mark.parametrize("data", [b"\xff" * 8, bytes(8), pack("!II", 2, 0) + b"[]", pack("!II", 9000, 0) + b"[" * 9000])
def test_what_is_no_message_is_a_crash(data: bytes) -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        theirs.sendall(data)
    with pytest.raises(DecoderCrash):
        SandboxedReader(Channel(ours), LentFile(io.BytesIO(b"x"), "x", 1, None), DEFAULT, CPU)


def children(of: int) -> list[int]:
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
        except (OSError, ValueError):
            continue
        if parent == of:
            found.append(int(entry.name))
    return found


def gone(pid: int, within: float = 5.0) -> bool:
    until = time.monotonic() + within
    while Path(f"/proc/{pid}").exists() and time.monotonic() < until:
        time.sleep(0.02)
    return not Path(f"/proc/{pid}").exists()


def held() -> tuple[set[Path], int, list[int]]:
    gc.collect()
    return set(Path("/dev/shm").iterdir()), len(list(Path("/proc/self/fd").iterdir())), children(os.getpid())


def test_a_reader_leaves_nothing_behind(sandbox: Sandbox, clip: bytes, tmp_path: Path) -> None:
    outcome(clip, sandbox=sandbox)  # the server is there
    assert sandbox._process is not None
    server, before = sandbox._process.pid, held()
    assert len(list(Path(f"/proc/{server}/task").iterdir())) == 1  # a fork copies no other
    for source in (clip, Pipe(clip), media.save(tmp_path, "clip.mkv", clip)):
        with open_source(source, sandbox=sandbox) as reader:
            assert len(children(server)) == 1
            next(iter(reader.batches(batch_size=1)))
        assert children(server) == []
    with pytest.raises(DecoderCrash):
        stand_in(sandbox, "does", deed="exit", after=-1)
    with pytest.raises(SourceError):
        open_source(b"no video", sandbox=sandbox)
    assert children(server) == []
    del reader, source
    assert held() == before


def test_a_sandbox_leaves_nothing_behind() -> None:
    before = held()
    with light() as sandbox:
        reader = stand_in(sandbox, "does", deed="exit", after=99)
        assert sandbox._process is not None
        server = sandbox._process.pid
        (decoder,) = children(server)
    assert gone(decoder)
    assert gone(server)
    reader.close()
    del reader
    assert held() == before


_HOST = """
import sys
sys.path[:] = {path!r}
import io
from vidguard.config import Limits
from vidguard.sandbox import LentFile, Sandbox
sandbox = Sandbox(prepare="sandbox_openers:nothing")
lent = LentFile(io.BytesIO(b"bytes"), "bytes", 5, None)
sandbox.open("sandbox_openers:does", lent, limits=Limits(), device="cpu", deed="spin", after=-1)
"""


def test_a_killed_parent_takes_the_child_with_it() -> None:
    code = _HOST.format(path=[str(Path(__file__).parent), *sys.path])
    with subprocess.Popen([sys.executable, "-c", code]) as parent:
        until = time.monotonic() + 60
        while not (decoders := [pid for server in children(parent.pid) for pid in children(server)]):
            assert time.monotonic() < until
            time.sleep(0.05)
        (server,), (decoder,) = children(parent.pid), decoders
        time.sleep(0.5)  # it is confined, and spins
        os.kill(parent.pid, signal.SIGKILL)
        parent.wait()
        assert gone(decoder)
        assert gone(server)


def test_a_killed_server_ends_its_decoders_and_is_started_again() -> None:
    with light() as sandbox:
        reader = stand_in(sandbox, "does", deed="exit", after=99)
        assert sandbox._process is not None
        server = sandbox._process.pid
        (decoder,) = children(server)
        os.kill(server, signal.SIGKILL)
        assert gone(decoder)
        with pytest.raises(DecoderCrash):
            list(reader.batches())
        stand_in(sandbox, "does", deed="exit", after=99).close()


def test_a_server_that_cannot_load_is_told() -> None:
    with Sandbox(prepare="no_such_module:prepare") as sandbox, pytest.raises(BackendError, match="no_such_module"):
        open_source(b"bytes", sandbox=sandbox)


def test_it_is_imported_where_there_is_none() -> None:
    code = (
        "import sys; sys.path[:] = {!r}; sys.modules['fcntl'] = sys.modules['resource'] = None; import vidguard.sandbox"
    )
    subprocess.run([sys.executable, "-c", code.format(sys.path)], check=True)


def test_a_platform_without_a_sandbox_says_so(clip: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    with Sandbox() as sandbox:
        assert outcome(clip, sandbox=sandbox) == outcome(clip)
        assert sandbox.note == "no sandbox on this platform (darwin): decoded in this process"
