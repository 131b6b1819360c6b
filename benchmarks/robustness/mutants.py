"""Reads thousands of damaged files in watched child processes: does each end with frames, or with a typed error?

    python benchmarks/robustness/mutants.py --count 10000 --out benchmarks/robustness/results/mutants.json

Seeds are the readers' conformance files and pictures and clips of further formats, made on the fly; each mutant is one
of them, changed by a generator of random numbers that its number seeds. A child reads every mutant twice, whole and by
its key frames, and says how that ended, how long it took, and what memory and descriptors it holds after. One that dies
or takes longer than the limit is counted, killed and replaced. The result holds counts, not the files.
"""

from __future__ import annotations

import json
import os
import resource
import select
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from io import BytesIO
from pathlib import Path
from typing import Annotated, Any, Final

import numpy as np
import typer

ROOT: Final = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "support"), str(ROOT / "benchmarks" / "accuracy")]

SECONDS: Final = 30.0
"""What one mutant may take, both readings together; the slowest seeds take a tenth of a second."""
_MAX_PIXELS: Final = 4096 * 4096
_MAX_SECONDS: Final = 3600.0
SOUND: Final = frozenset({"read", "damaged", "refused"})
"""Ends as they should be: all frames, some frames and a word about the damage, or a typed error."""


@dataclass(frozen=True)
class Ending:
    """How one mutant ended."""

    seed: str
    number: int
    outcome: str
    """One of `SOUND`, else "untyped NAME", "died" or "hung"."""
    seconds: float
    megabytes: float
    """The child's largest resident memory so far."""
    descriptors: int


def seeds() -> dict[str, bytes]:
    """Every sound file to start from, by name."""
    import media
    from hard_files import HARD_FILES
    from PIL import Image

    made = {hard.name: hard.make() for hard in HARD_FILES if hard.error is None and not hard.damaged}
    picture = Image.fromarray(media.pattern(3))
    for name in ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "AVIF"):
        file = BytesIO()
        picture.save(file, name)
        made[f"{name} picture"] = file.getvalue()
    several = [Image.fromarray(media.pattern(k)) for k in range(6)]
    for name in ("GIF", "PNG", "WEBP", "TIFF", "AVIF"):
        file = BytesIO()
        several[0].save(file, name, save_all=True, append_images=several[1:], duration=100)
        made[f"{name} of six pictures"] = file.getvalue()
    for container, codec, pixel_format in (
        ("webm", "libvpx", "yuv420p"),
        ("webm", "libvpx-vp9", "yuv420p"),
        ("avi", "mpeg4", "yuv420p"),
        ("mov", "mjpeg", "yuvj420p"),
        ("mov", "prores_ks", "yuv422p10le"),
        ("flv", "flv1", "yuv420p"),
        ("asf", "wmv2", "yuv420p"),
        ("matroska", "ffv1", "yuv420p"),
        ("matroska", "libx265", "yuv420p"),
        ("mp4", "libx265", "yuv420p"),
        ("mpeg", "mpeg2video", "yuv420p"),
        ("nut", "mpeg4", "yuv420p"),
    ):
        rate = 25 if container == "mpeg" else 10
        made[f"{codec} in {container}"] = media.encode(
            media.frames(12), container=container, codec=codec, pixel_format=pixel_format, rate=rate
        )
    return made


def mutant(data: bytes, seed: str, number: int) -> bytes:
    """Change a seed's bytes; the same name and number give the same mutant."""
    rng = np.random.default_rng([number, *seed.encode()])
    changed = bytearray(data)
    for _ in range(int(rng.integers(1, 4))):
        if len(changed) > 1:
            _CHANGES[int(rng.integers(len(_CHANGES)))](changed, rng)
    return bytes(changed)


def _stretch(data: bytearray, rng: np.random.Generator, longest: int = 4096) -> slice:
    start = int(rng.integers(len(data)))
    return slice(start, start + int(rng.integers(1, min(longest, len(data)) + 1)))


def _flip_bits(data: bytearray, rng: np.random.Generator) -> None:
    for at in rng.integers(len(data), size=int(rng.integers(1, 65))):
        data[at] ^= 1 << int(rng.integers(8))


def _flip_header_bits(data: bytearray, rng: np.random.Generator) -> None:
    for at in rng.integers(min(len(data), 1024), size=int(rng.integers(1, 9))):
        data[at] ^= 1 << int(rng.integers(8))


def _extreme_number(data: bytearray, rng: np.random.Generator) -> None:
    at, size = int(rng.integers(len(data))), int(rng.choice([1, 2, 4, 8]))
    values = (b"\0" * size, b"\xff" * size, b"\x7f" + b"\xff" * (size - 1), b"\x80" + b"\0" * (size - 1))
    data[at : at + size] = values[int(rng.integers(len(values)))]


def _cut(data: bytearray, rng: np.random.Generator) -> None:
    del data[int(rng.integers(1, len(data))) :]


def _drop(data: bytearray, rng: np.random.Generator) -> None:
    del data[_stretch(data, rng)]


def _repeat(data: bytearray, rng: np.random.Generator) -> None:
    where = _stretch(data, rng)
    data[where.stop : where.stop] = data[where]


def _noise(data: bytearray, rng: np.random.Generator) -> None:
    where = _stretch(data, rng)
    data[where] = rng.bytes(len(data[where]))


def _move(data: bytearray, rng: np.random.Generator) -> None:
    where = _stretch(data, rng)
    moved = data[where]
    del data[where]
    at = int(rng.integers(len(data) + 1))
    data[at:at] = moved


_CHANGES: Final[tuple[Callable[[bytearray, np.random.Generator], None], ...]] = (
    _flip_bits,
    _flip_header_bits,
    _extreme_number,
    _cut,
    _drop,
    _repeat,
    _noise,
    _move,
)


def read_both_ways(data: bytes) -> str:
    """Read a file whole, and by its key frames; the worse of both outcomes."""
    from vidguard.config import Limits
    from vidguard.errors import VidguardError
    from vidguard.video import open_source
    from vidguard.video.keyframes import open_key_frames

    limits = Limits(max_pixels=_MAX_PIXELS, max_seconds=_MAX_SECONDS)
    outcomes = set()
    for opened in (
        lambda: open_source(data, limits=limits),
        lambda: open_key_frames(data, max_frames=4, limits=limits),
    ):
        try:
            with opened() as reader:
                for _ in reader.batches():
                    pass
                outcomes.add("damaged" if reader.damaged else "read")
        except VidguardError:
            outcomes.add("refused")
        except Exception as error:  # noqa: BLE001 - what this looks for
            return f"untyped {type(error).__name__}"
    return next(outcome for outcome in ("refused", "damaged", "read") if outcome in outcomes)


def _serve() -> None:
    """The child: a line "NUMBER NAME" in, a line of JSON out."""
    made = seeds()
    read_both_ways(next(iter(made.values())))  # imports what reading needs, which belongs to no mutant's time
    print(json.dumps(sorted(made)), flush=True)
    for line in sys.stdin:
        number, seed = line.rstrip("\n").split(" ", 1)
        began = time.perf_counter()
        outcome = read_both_ways(mutant(made[seed], seed, int(number)))
        ending = Ending(
            seed=seed,
            number=int(number),
            outcome=outcome,
            seconds=round(time.perf_counter() - began, 3),
            megabytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            descriptors=len(os.listdir("/proc/self/fd")),  # noqa: PTH208 - counted, not walked
        )
        print(json.dumps(asdict(ending)), flush=True)


class Child:
    """A process that reads mutants, replaced when it dies or hangs."""

    def __init__(self) -> None:
        self._start()

    def _start(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__, "--serve"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        self.seeds: list[str] = json.loads(self._line(600.0) or "[]")

    def _line(self, seconds: float) -> bytes:
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], seconds)
        return self._process.stdout.readline() if ready else b""

    def read(self, seed: str, number: int) -> Ending:
        """Have one mutant read."""
        assert self._process.stdin is not None
        began = time.perf_counter()
        self._process.stdin.write(f"{number} {seed}\n".encode())
        self._process.stdin.flush()
        if line := self._line(SECONDS):
            return Ending(**json.loads(line))
        try:
            self._process.wait(1.0)
            outcome = "died"
        except subprocess.TimeoutExpired:
            outcome = "hung"
        self.close()
        self._start()
        return Ending(seed, number, outcome, round(time.perf_counter() - began, 3), 0.0, 0)

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()


def run(count: int, workers: int, first: int = 0) -> Iterator[Ending]:
    """Read mutants first .. first + count - 1, seeds in turn, in so many children."""
    children = [Child() for _ in range(workers)]
    names = children[0].seeds

    def share(child: Child, numbers: Sequence[int]) -> list[Ending]:
        try:
            return [child.read(names[number % len(names)], number) for number in numbers]
        finally:
            child.close()

    with ThreadPoolExecutor(workers) as pool:
        shares = [range(first + k, first + count, workers) for k in range(workers)]
        for endings in pool.map(share, children, shares):
            yield from endings


def main(
    out: Annotated[Path, typer.Option(help="Result file to write.")],
    count: Annotated[int, typer.Option(help="Mutants.")] = 10_000,
    workers: Annotated[int, typer.Option(help="Processes.")] = os.cpu_count() or 1,
) -> None:
    """Read the mutants and write how they ended."""
    from surroundings import environment

    endings = list(run(count, workers))
    by_seed: dict[str, Counter[str]] = {}
    for ending in endings:
        by_seed.setdefault(ending.seed, Counter())[ending.outcome] += 1
    times = np.array([e.seconds for e in endings])
    result: dict[str, Any] = {
        "mutants": len(endings),
        "outcomes": dict(Counter(e.outcome for e in endings).most_common()),
        "seconds": {
            "median": float(np.median(times)),
            "99 %": float(np.quantile(times, 0.99)),
            "most": float(times.max()),
        },
        "largest child, MB": round(max(e.megabytes for e in endings)),
        "most descriptors": max(e.descriptors for e in endings),
        "by seed": {name: dict(outcomes.most_common()) for name, outcomes in sorted(by_seed.items())},
        "environment": environment(),
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(result, indent=1) + "\n")
    typer.echo(json.dumps({k: v for k, v in result.items() if k != "by seed"}, indent=1))


if __name__ == "__main__":
    if "--serve" in sys.argv:
        _serve()
    else:
        typer.run(main)
