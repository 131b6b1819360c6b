"""Writes docs/hard-files.md: what `analyze`, `triage` and `stream` make of each kind of hard file that the tests hold.

python benchmarks/hard_files.py [--check]
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import vidguard
from vidguard.detector.triage import Triage
from vidguard.types import Report, Segment
from vidguard.video import open_source

if TYPE_CHECKING:
    from tests.hard.case import HardCase

ROOT: Final = Path(__file__).resolve().parent.parent
PAGE: Final = ROOT / "docs/hard-files.md"
_HEAD: Final = """# Hard files

Valid files that are easily misread, and what vidguard answers about each. Every row is a test (`tests/hard`); this page
is written by `benchmarks/hard_files.py` with the default weights. The files are made from one portrait, as photographed
and with the demo's forgery laid on, so the probabilities say that the right picture was judged, not how good the
weights are. Below each answer stand the notes that the report gives of the file.

| Kind of file | analyze | triage | stream |
|---|---|---|---|
"""


def page() -> str:
    """The whole page."""
    sys.path[:0] = [str(ROOT / "tests/hard"), str(ROOT / "tests/support")]
    from cases import CASES

    detector = vidguard.load(device="cpu")
    return _HEAD + "".join(f"{_row(detector, case)}\n" for case in CASES)


def _row(detector: vidguard.Detector, case: HardCase) -> str:
    with tempfile.TemporaryDirectory() as folder:
        path = case.make(Path(folder))
        report = detector.analyze(path)
        triage = _triage(detector.triage(path)) if case.triage is not None else "–"
        stream = "–"
        if case.stream is not None:
            with open_source(path) as reader:
                stream = _stream(list(detector.stream(reader.batches())))
    return f"| {case.kind} | {_analysis(report)} | {triage} | {stream} |"


def _analysis(report: Report) -> str:
    prob = "no probability" if report.fake_prob is None else f"{report.fake_prob:.2f}"
    label = "" if report.decision is None else f" ({report.decision.label})"
    answer = f"`{report.status.value}`, {prob}{label}; {report.explanation}; {report.coverage.seconds:.2f} s"
    return "<br>".join([answer, *(f"<sub>{_plain(note)}</sub>" for note in report.engine.notes)])


def _triage(triage: Triage) -> str:
    return f"`{triage.outcome.value}`: {_plain(triage.why)}"


def _stream(segments: Sequence[Segment]) -> str:
    highest = max((s.fake_prob for s in segments if s.fake_prob is not None), default=None)
    return f"{len(segments)} segments" + ("" if highest is None else f", highest {highest:.2f}")


def _plain(text: str) -> str:
    return text.replace("|", "\\|")


def main() -> int:
    """Write the page, or with --check say whether it is as it would be written."""
    written = page()
    if "--check" in sys.argv[1:]:
        same = PAGE.is_file() and PAGE.read_text() == written
        print("up to date" if same else f"{PAGE.name} is stale: run benchmarks/hard_files.py")
        return 0 if same else 1
    PAGE.write_text(written)
    return 0


if __name__ == "__main__":
    sys.exit(main())
