"""How times, probabilities, names and answers are put into words, the same in every view."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from vidguard.types import KindGuess, Report, Status

_NO_ANSWER: dict[Status, str] = {
    Status.NO_FACE: "No answer: no face was found",
    Status.TOO_SHORT: "No answer: no face was seen well enough to judge",
    Status.TOO_BLURRED: "No answer: every face was too small or too blurred to judge",
    Status.UNDECODABLE: "No answer: the picture could not be decoded",
}


@dataclass(frozen=True)
class Verdict:
    """A report's answer in plain words; ``tone``: flagged from the threshold up, undecided or clear below, or none."""

    tone: Literal["flagged", "undecided", "clear", "none"]
    headline: str
    detail: str


def is_flagged(report: Report) -> bool:
    """Whether the video-level probability reaches the weights' decision threshold. No probability, no flag."""
    return report.fake_prob is not None and report.fake_prob >= report.weights.threshold


def verdict(report: Report) -> Verdict:
    """Put the answer into words that claim no more than the number does: "clear" is never called genuine."""
    reason = report.explanation[:1].upper() + report.explanation[1:].rstrip(".") + "."
    if report.fake_prob is None:
        return Verdict("none", _NO_ANSWER[report.status], reason)
    detail = f"{_where(report)} {reason}".strip()
    if is_flagged(report):
        return Verdict("flagged", "Signs of manipulation", detail)
    undecided = report.decision is not None and report.decision.label == "undecided"
    tone: Literal["undecided", "clear"] = "undecided" if undecided else "clear"
    if report.findings:
        count = len(report.findings)
        what = "face" if report.source.kind == "image" else "stretch"
        stand = f"{count} {what}{'es' if what == 'stretch' else 's'} stand" if count > 1 else f"one {what} stands"
        return Verdict(tone, f"Below the threshold, but {stand} out", detail)
    return Verdict(tone, "Undecided" if undecided else "No signs of manipulation found", detail)


def track_words(status: Status) -> str:
    """Whether a face was judged."""
    return "hardly seen" if status is Status.TOO_SHORT else status.value.replace("_", " ")


def decision_words(report: Report) -> str | None:
    """The decision, its error rate and its bounds; None where none was made."""
    made = report.decision
    if made is None:
        return None
    bounds = f"genuine below {made.genuine_below:.3f}, manipulated from {made.manipulated_from:.3f}"
    return f"{made.label} at an error rate of {made.error_rate:g} ({bounds})"


def _where(report: Report) -> str:
    if not report.findings:
        return ""
    worst = max(report.findings, key=lambda f: f.peak_fake_prob)
    if report.source.kind == "image":
        return f"Most suspicious: face {worst.track_id}."
    others = len(report.findings) - 1
    more = f", and {others} more stretch{'es' if others > 1 else ''}" if others else ""
    return f"Most suspicious: face {worst.track_id} from {clock(worst.start)} to {clock(worst.end)}{more}."


def clock(seconds: float, *, decimals: int = 1) -> str:
    """Seconds as ``m:ss.s`` or ``h:mm:ss.s``; rounded as a whole, so that 59.97 gives 1:00.0."""
    unit = 10**decimals
    ticks = round(abs(seconds) * unit)
    whole, fraction = divmod(ticks, unit)
    minutes, second = divmod(whole, 60)
    hours, minute = divmod(minutes, 60)
    text = f"{hours}:{minute:02d}:{second:02d}" if hours else f"{minute}:{second:02d}"
    if decimals:
        text += f".{fraction:0{decimals}d}"
    return f"-{text}" if seconds < 0 and ticks else text


def percent(fake_prob: float | None) -> str:
    """Whole per cent, never a certainty: ``<1%`` and ``>99%`` at the ends, an en dash for None."""
    if fake_prob is None:
        return "–"
    if fake_prob < 0.01:
        return "<1%"
    if fake_prob > 0.99:
        return ">99%"
    return f"{fake_prob * 100:.0f}%"


def kind_words(guess: KindGuess | None) -> str:
    """The most likely kind of manipulation with its probability, an en dash for None."""
    return "–" if guess is None else f"{guess.kind} {percent(guess.prob)}"


def printable(text: str) -> str:
    """Make a hostile name safe for a terminal or one line of log: control and formatting characters become U+FFFD."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)
