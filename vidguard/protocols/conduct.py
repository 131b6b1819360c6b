"""A benchmark from beginning to end: score every item, work the figures out, write result, scores and pages."""

from __future__ import annotations

import platform
import subprocess
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal

import av
import numpy as np
import torch

from vidguard._version import __version__
from vidguard.config import VIDEO_SUFFIXES
from vidguard.errors import InputError
from vidguard.files import write_whole
from vidguard.inputs import read_regular
from vidguard.processes import describe_machine, sole_owner
from vidguard.protocols.files import SCORES_FILE, read_scores, write_scores
from vidguard.protocols.items import Item, Listing
from vidguard.protocols.measure import SEED, compare, figures_by_group, frame_figures, segment_figures
from vidguard.protocols.page import (
    render_comparison_html,
    render_comparison_markdown,
    render_html,
    render_markdown,
    worst_mistakes,
)
from vidguard.protocols.protocol import Protocol
from vidguard.protocols.result import Comparison, Coverage, DetectorInfo, Result, ScoredItem
from vidguard.protocols.run import Ledger, MakeSubject, run
from vidguard.protocols.scores import Score
from vidguard.protocols.subject import Subject

_MAX_RESULT_BYTES: Final = 256 << 20  # a list of a million missing items fits
OnScore = Callable[[Score, int, int], None]


@dataclass(frozen=True)
class Measured:
    """A result and the scores it was worked out from."""

    result: Result
    scored: tuple[ScoredItem, ...]


def conduct(
    listing: Listing,
    make_subject: MakeSubject,
    protocol: Protocol,
    out: Path,
    *,
    workers: int,
    on_score: OnScore | None = None,
) -> Measured:
    """Measure a subject on a listing and write everything into the folder `out`.

    Goes on where an earlier run into the same folder stopped. on_score is called with each score, the number of items
    done and the number of all. Raises InputError where `out` holds another run, or another process works in it.
    """
    subject = make_subject()
    about = subject.describe()
    with sole_owner(out):
        ledger = Ledger(out / "ledger.jsonl", _header(listing, protocol, about))
        if ledger.damaged:
            note = f"{ledger.damaged} lines of the ledger were damaged; the items that were in them were scored again"
            listing = replace(listing, notes=(*listing.notes, note))
        done = sum(item.id in ledger.scores for item in listing.items)
        for score in run(listing.items, make_subject, protocol, ledger, workers=workers):
            done = min(done + 1, len(listing.items))
            if on_score is not None:
                on_score(score, done, len(listing.items))
        scored = tuple(ScoredItem(item, ledger.scores[item.id]) for item in listing.items)
        result = assemble(listing, scored, protocol, about, workers=workers)
        _write(out, result, scored, subject)
    return Measured(result, scored)


def assemble(
    listing: Listing, scored: Sequence[ScoredItem], protocol: Protocol, about: dict[str, Any], *, workers: int
) -> Result:
    """Work the figures out."""
    threshold = about["threshold"] if protocol.threshold is None else protocol.threshold
    frame_threshold = about["frame_threshold"] if protocol.threshold is None else protocol.threshold
    settings = {k: v for k, v in about.items() if k not in ("name", "sha256")}
    return Result(
        dataset=listing.dataset,
        split=listing.split,
        unit=_unit(listing.items),
        protocol=protocol.as_dict(),
        detector=DetectorInfo(about["name"], about["sha256"], settings),
        coverage=Coverage(
            found=len(listing.items),
            missing=listing.missing,
            notes=listing.notes,
            found_by_method=dict(Counter(item.method for item in listing.items)),
            expected_by_method=dict(listing.expected),
        ),
        environment=_environment(workers),
        item_seconds=round(sum(s.score.seconds for s in scored), 1),
        figures=figures_by_group(scored, protocol, threshold),
        frame_figures=frame_figures(scored, protocol, frame_threshold),
        segment_figures=segment_figures(scored, about["segment_threshold"]),
        scores_file=SCORES_FILE,
    )


def compare_results(a: Path, b: Path, out: Path | None) -> tuple[Result, Result, Comparison]:
    """Hold two result.json files against each other, with their scores beside them; writes pages into `out` if given.

    Raises ReportFormatError and InputError where a file isn't a result or its scores are missing.
    """
    first, second = _read_result(a), _read_result(b)
    comparison = compare(_scores_of(a, first), _scores_of(b, second))
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        write_whole(out / "comparison.md", render_comparison_markdown(first, second, comparison).encode())
        write_whole(out / "comparison.html", render_comparison_html(first, second, comparison).encode())
    return first, second, comparison


def _read_result(path: Path) -> Result:
    return Result.from_json(read_regular(path, max_bytes=_MAX_RESULT_BYTES))


def _scores_of(path: Path, result: Result) -> list[ScoredItem]:
    """The scores beside a result, which may be anybody's: a link there must not lead to another file of the user's."""
    scores = path.parent / result.scores_file
    if scores.is_symlink():
        raise InputError(f"{scores} is a link; put the scores themselves beside the result")
    return read_scores(scores)


def _write(out: Path, result: Result, scored: Sequence[ScoredItem], subject: Subject) -> None:
    write_scores(out, scored)
    result.save_json(out / "result.json")
    mistakes = worst_mistakes(scored, result.pooled.threshold)
    pictures = {s.item.id: subject.thumbnail(s.item) for s in (*mistakes.false_alarms, *mistakes.missed)}
    thumbnails = {name: jpeg for name, jpeg in pictures.items() if jpeg is not None}
    write_whole(out / "result.md", render_markdown(result, scored).encode())
    write_whole(out / "result.html", render_html(result, scored, thumbnails).encode())


def _header(listing: Listing, protocol: Protocol, about: dict[str, Any]) -> dict[str, Any]:
    # ids are names below a root: without it, another copy's real/a.mp4 would get this one's score
    run_on = {"root": str(listing.root.resolve()), "dataset": listing.dataset, "split": listing.split}
    return {**run_on, "vidguard": __version__, "protocol": protocol.as_dict(), "detector": about}


def _unit(items: Sequence[Item]) -> Literal["video", "still", "sequence", "item"]:
    kinds = {
        "sequence" if i.path.is_dir() else "video" if i.path.suffix.lower() in VIDEO_SUFFIXES else "still"
        for i in items
    }
    if kinds == {"video"}:
        return "video"
    if kinds == {"still"}:
        return "still"
    return "sequence" if kinds == {"sequence"} else "item"


def _environment(workers: int) -> dict[str, Any]:
    return {
        "commit": _commit(),
        "vidguard": __version__,
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "numpy": np.__version__,
        "av": av.__version__,
        "machine": describe_machine(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "workers": workers,
        "seed": SEED,
    }


def _commit() -> str | None:
    """Of the checkout this package runs from; None where it is installed, and without git."""
    checkout = Path(__file__).parents[2]
    if not (checkout / ".git").exists():
        return None
    ask = ["git", "-C", str(checkout), "rev-parse", "HEAD"]
    try:
        found = subprocess.run(ask, capture_output=True, text=True, check=False)  # noqa: S603
    except OSError:
        return None
    return found.stdout.strip() or None
