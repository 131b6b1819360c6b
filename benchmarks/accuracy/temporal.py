"""What judging time adds: the transformer beside simpler readings of the same frames, on sources nothing learnt from.

    python benchmarks/accuracy/temporal.py --work WORK --recipe base-v1 --out RESULT.json

--work is the folder of a finished `vidguard train`: its encoded sequences are used, so encoders and material are equal
for all. Every learned reading is trained on the same sequences by the same recipe and judged on the same others, on
which the best of its epochs was chosen too: the readings that learn nothing have no such choice.
"""

from __future__ import annotations

import copy
import io
import json
import math
from collections.abc import Callable
from collections.abc import Sequence as Seq
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Final

import numpy as np
import torch
import typer
from measured import measured
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from surroundings import environment
from torch import Tensor, nn

from vidguard import types
from vidguard.detector import Judge
from vidguard.metrics import auc, bootstrap_difference, match_segments, pool_matches, temporal_iou
from vidguard.metrics.temporal import Interval
from vidguard.scoring.segments import find_stretches
from vidguard.scoring.verdict import track_logit
from vidguard.scoring.windows import FrameTokens, WindowedJudge
from vidguard.temporal import TemporalOutput, TemporalTransformer, frame_features
from vidguard.training.calibrate import READING, fit_fusion, score_sequence
from vidguard.training.recipe import load_recipe
from vidguard.training.sequences import Sequence, judged_frames, load_sequences
from vidguard.training.temporal import train_temporal

_PASSED: Final = 0.1
"""Share of the genuine clips' time found at a reading's threshold, where it has to say what is forged."""
_ROUNDS: Final = 500


Find = Callable[[Sequence, NDArray[np.float64], float], list[Interval]]


class RunningMean(nn.Module):
    """The mean logit over a second, in the transformer's place; nothing to learn."""

    def forward(self, embeddings: dict[str, Tensor], logits: Tensor, times: Tensor, valid: Tensor) -> TemporalOutput:
        """As TemporalTransformer's."""
        near = ((times[:, :, None] - times[:, None]).abs() <= 0.5) & valid[:, None]
        frames = (near * logits[:, None]).sum(2) / near.sum(2) * valid
        return TemporalOutput(frames, frames.sum(1) / valid.sum(1))


class Gru(nn.Module):
    """A bidirectional GRU over how logits and embeddings change, in the transformer's place."""

    def __init__(self, encoders: int, width: int = 48) -> None:
        super().__init__()
        self.gru = nn.GRU(2 + encoders, width, batch_first=True, bidirectional=True)
        self.frame_head, self.window_head = nn.Linear(2 * width, 1), nn.Linear(2 * width, 1)

    def gains(self) -> list[nn.Parameter]:
        """None: all its parameters are weights."""
        return []

    def forward(self, embeddings: dict[str, Tensor], logits: Tensor, times: Tensor, valid: Tensor) -> TemporalOutput:
        """As TemporalTransformer's; what stands at padded places changes nothing."""
        lengths = valid.sum(1)
        features = frame_features(embeddings, logits, valid)
        packed = nn.utils.rnn.pack_padded_sequence(features, lengths.cpu(), batch_first=True, enforce_sorted=False)
        x, _ = nn.utils.rnn.pad_packed_sequence(self.gru(packed)[0], batch_first=True, total_length=valid.shape[1])
        clean = logits.masked_fill(~valid, 0.0)
        frames = (clean + self.frame_head(x).squeeze(-1)).masked_fill(~valid, 0.0)
        pooled = self.window_head(x.sum(1) / lengths[:, None]).squeeze(-1)
        return TemporalOutput(frames, clean.sum(1) / lengths + pooled)


def main(
    work: Annotated[Path, typer.Option(help="Folder of a finished training.")],
    recipe: Annotated[str, typer.Option(help="Its recipe.")],
    out: Annotated[Path, typer.Option(help="Result file to write.")],
) -> None:
    """Train the alternatives and write every reading's figures."""
    torch.set_num_threads(1)
    plan = load_recipe(recipe)
    training, validation = (
        judged_frames(load_sequences(work / f"sequences.{split}.safetensors")) for split in ("temporal", "val")
    )
    judge = Judge(plan.names, {})
    fit_fusion(judge, validation)
    clips = [s for s in validation if len(s.tokens) > 1]
    torch.manual_seed(plan.seed)
    readings: dict[str, nn.Module] = {
        "frames alone": TemporalTransformer(judge.names),  # untrained: passes the frames' logits through
        "mean over a second": RunningMean(),
        "GRU": Gru(len(judge.names)),
        "likeness alone": TemporalTransformer(judge.names, layers=0),
        "transformer": TemporalTransformer(judge.names),
    }
    untaught = copy.deepcopy(readings["transformer"])
    told: dict[str, _Told] = {}
    for name, model in readings.items():
        judge.temporal = model  # type: ignore[assignment]  # whatever takes and gives the same
        if name not in ("frames alone", "mean over a second"):
            train_temporal(judge, training, clips, plan.temporal, seed=plan.seed, log=io.StringIO())
        told[name] = _Told(judge, clips)
    told["transformer, order shuffled"] = _Told(judge, clips, shuffled=True)
    judge.temporal = untaught  # type: ignore[assignment]
    train_temporal(judge, _unlocated(training), clips, plan.temporal, seed=plan.seed, log=io.StringIO())
    told["transformer, taught by labels of whole clips"] = _Told(judge, clips)
    rows: dict[str, Any] = {name: one.figures(against=told["frames alone"]) for name, one in told.items()}
    rows["logistic regression on track statistics"] = {"face": _auc(clips, _by_statistics(judge, training, clips))}
    partly = [c for c in clips if 0 < c.is_fake.mean() < 1]
    result = {
        "environment": environment("torch"),
        "what": "validation clips, pristine and forged in part or whole: AUC of frames, of 1 s segments and of whole "
        "faces; stretches found in those forged in part, at a threshold that finds a tenth of the genuine clips' time",
        "clips": len(clips),
        "forged_in_part": len(partly),
        "sources": len({s.source for s in clips}),
        "training_sequences": sum(len(s.tokens) > 1 for s in training),
        "rows": rows,
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(result, indent=1) + "\n")
    typer.echo(json.dumps(result, indent=1))


class _Told:
    """What one reading says of every clip, by frames, segments and faces."""

    def __init__(self, judge: Judge, clips: Seq[Sequence], *, shuffled: bool = False) -> None:
        judge.temporal.eval()
        self.clips = clips
        orders = [_order(clip, k if shuffled else None) for k, clip in enumerate(clips)]
        self.frames = [_frame_logits(judge, clip, order) for clip, order in zip(clips, orders)]
        self.segments: list[tuple[float, bool, str]] = []
        self.verdicts: list[float] = []
        self.halves: list[float] = []
        self.means: list[float] = []
        for clip in () if shuffled else clips:  # another order has other segments
            scores = score_sequence(judge, clip)
            stretches = scores.segments
            self.verdicts.append(track_logit(scores.parts(READING), READING.share))
            self.halves.append(track_logit(stretches, 0.5))
            seconds = [s.seconds for s in stretches]
            self.means.append(float(np.average([s.logit for s in stretches], weights=seconds)))
            for stretch in stretches:
                share = float(np.mean([clip.is_fake[i] for i in stretch.frame_indices]))
                if share == 0 or share >= 0.5:
                    self.segments.append((stretch.logit, share > 0, clip.source))

    def figures(self, *, against: _Told) -> dict[str, Any]:
        truth = np.concatenate([c.is_fake for c in self.clips])
        sources = [c.source for c in self.clips for _ in c.is_fake]
        ours, theirs = np.concatenate(self.frames), np.concatenate(against.frames)
        difference = bootstrap_difference(auc, truth, ours, theirs, sources, rounds=_ROUNDS)
        found: dict[str, Any] = {
            "frame": {"auc": round(auc(truth, ours), 4), "auc_less_frames_alone_95": [round(v, 4) for v in difference]}
        }
        inside = [auc(c.is_fake, f) for c, f in zip(self.clips, self.frames) if 0 < c.is_fake.mean() < 1]
        found["frame"]["auc_within_clips_forged_in_part"] = round(float(np.mean(inside)), 4)
        if self.segments:
            logits, fake, source = zip(*self.segments)
            found["segment"] = {**measured("auc", auc, fake, logits, source), "count": len(fake)}
            found["face"] = _auc(self.clips, self.means)
            found["face_by_verdict"] = _auc(self.clips, self.verdicts)
            found["face_by_half_of_segments"] = _auc(self.clips, self.halves)
        found["face_by_maximum"] = _auc(self.clips, [float(f.max()) for f in self.frames])
        return {**found, "stretches": self._stretches(_findings), "runs_of_frames": self._stretches(_runs)}

    def _stretches(self, find: Find) -> dict[str, Any]:
        threshold = self._threshold(find)
        ious, matches = [], []
        for clip, frames in zip(self.clips, self.frames):
            if 0 < clip.is_fake.mean() < 1:
                truth = [_span(clip, np.flatnonzero(clip.is_fake))]
                found = find(clip, frames, threshold)
                ious.append(temporal_iou(found, truth))
                matches.append(match_segments(found, truth))
        pooled = pool_matches(matches)
        start, end = pooled.boundary_error
        return {
            "mean_iou": round(float(np.mean(ious)), 4),
            "precision_at_iou_0.5": round(pooled.precision, 4),
            "recall_at_iou_0.5": round(pooled.recall, 4),
            "start_error_seconds": round(start, 3),
            "end_error_seconds": round(end, 3),
        }

    def _threshold(self, find: Find) -> float:
        """The lowest at which `_PASSED` of the genuine clips' time at most is found."""
        genuine = [(c, f) for c, f in zip(self.clips, self.frames) if not c.is_fake.any()]
        seconds = sum(_seconds([_span(c, np.arange(len(f)))]) for c, f in genuine)
        levels = np.quantile(np.concatenate([f for _, f in genuine]), np.linspace(0.6, 1.0, 201))
        found = (t for t in levels if sum(_seconds(find(c, f, t)) for c, f in genuine) <= _PASSED * seconds)
        return float(next(found, np.inf))


def _unlocated(sequences: Seq[Sequence]) -> list[Sequence]:
    """The same, as if of forged clips only their labels were known."""
    forged = ((s, bool(s.is_fake.any())) for s in sequences)
    return [replace(s, is_fake=np.ones_like(s.is_fake), located=False) if fake else s for s, fake in forged]


def _order(clip: Sequence, seed: int | None) -> NDArray[np.int64]:
    count = len(clip.is_fake)
    return np.arange(count) if seed is None else np.random.default_rng(seed).permutation(count)


def _frame_logits(judge: Judge, clip: Sequence, order: NDArray[np.int64]) -> NDArray[np.float64]:
    """The reading's logit of every frame, shown in another order at the same times; given in the clip's own order."""
    tokens = clip.tokens
    fused = torch.from_numpy(_fused(judge, clip)[order])
    with torch.inference_mode():
        windows = WindowedJudge(judge.temporal)
        mixed = FrameTokens({n: e[order] for n, e in tokens.embeddings.items()}, fused, tokens.times)
        told = windows.push(mixed) + windows.finish()
    logits = np.empty(len(order))
    logits[order] = told
    return logits


def _span(clip: Sequence, indices: NDArray[np.int64]) -> Interval:
    """From the first of the frames to the last, which reaches to the next."""
    times = clip.tokens.times.numpy()
    last = int(indices[-1])
    end = times[last + 1] if last + 1 < len(times) else times[last] + float(np.median(np.diff(times)))
    return float(times[indices[0]]), float(end)


def _runs(clip: Sequence, logits: NDArray[np.float64], threshold: float) -> list[Interval]:
    """Runs of frames at or above the threshold."""
    chosen = logits >= threshold
    runs = np.split(np.arange(len(chosen)), np.flatnonzero(np.diff(chosen)) + 1)
    return [_span(clip, run) for run in runs if chosen[run[0]]]


def _findings(clip: Sequence, logits: NDArray[np.float64], threshold: float) -> list[Interval]:
    """Stretches as reports find them."""
    frames = [types.Interval(*_span(clip, np.array([k]))) for k in range(len(logits))]
    probabilities = [float(p) for p in 1 / (1 + np.exp(-logits))]
    found = find_stretches(frames, probabilities, 1 / (1 + math.exp(-threshold)))
    return [(frames[run.start].start, frames[run.stop - 1].end) for run in found]


def _seconds(intervals: Seq[Interval]) -> float:
    return sum(end - start for start, end in intervals)


def _auc(clips: Seq[Sequence], scores: Seq[float]) -> dict[str, Any]:
    truth, sources = [bool(c.is_fake.any()) for c in clips], [c.source for c in clips]
    return measured("auc", auc, truth, scores, sources)


def _fused(judge: Judge, sequence: Sequence) -> NDArray[np.float32]:
    return judge.fuse(torch.from_numpy(sequence.logits)).detach().numpy()


def _by_statistics(judge: Judge, training: Seq[Sequence], clips: Seq[Sequence]) -> list[float]:
    def statistics(sequence: Sequence) -> list[float]:
        logits = _fused(judge, sequence)
        spread = [logits.mean(), logits.std(), *np.quantile(logits, (0.1, 0.5, 0.9))]
        return [*map(float, spread), float(np.abs(np.diff(logits)).mean()) if len(logits) > 1 else 0.0]

    learnt = [s for s in training if len(s.tokens) > 1]
    model = make_pipeline(StandardScaler(), LogisticRegression(class_weight="balanced"))
    model.fit([statistics(s) for s in learnt], [bool(s.is_fake.any()) for s in learnt])
    return [float(v) for v in model.decision_function([statistics(s) for s in clips])]


if __name__ == "__main__":
    typer.run(main)
