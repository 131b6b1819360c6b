"""What judging time adds: the transformer beside simpler readings of the same frames, on sources nothing learnt from.

    python benchmarks/accuracy/temporal.py --work WORK --recipe base-v1 --out RESULT.json

--work is the folder of a finished `vidguard train`: its encoded sequences are used, so encoders and material are equal
for all. Every learned reading is trained on the same sequences by the same recipe and judged on the same others.
"""

from __future__ import annotations

import io
import json
from collections.abc import Sequence as Seq
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn

from vidguard.detector import Judge
from vidguard.metrics import auc, bootstrap_auc
from vidguard.temporal import FrameTokens, TemporalOutput, TemporalTransformer, frame_features
from vidguard.training.calibrate import fit_fusion, judge_sequence
from vidguard.training.recipe import load_recipe
from vidguard.training.sequences import Sequence, load_sequences
from vidguard.training.temporal import train_temporal


class Gru(nn.Module):
    """A bidirectional GRU over the transformer's inputs, in the transformer's place."""

    def __init__(self, encoders: int, width: int = 48) -> None:
        super().__init__()
        self.gru = nn.GRU(3 + encoders, width, batch_first=True, bidirectional=True)
        self.frame_head, self.window_head = nn.Linear(2 * width, 1), nn.Linear(2 * width, 1)

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
    training, validation = (load_sequences(work / f"sequences.{split}.safetensors") for split in ("temporal", "val"))
    judge = Judge(tuple(plan.encoders), {})
    fit_fusion(judge, validation)
    clips = [s for s in validation if len(s.tokens) > 1]
    names = judge.names
    candidates: dict[str, nn.Module] = {
        "frames alone": TemporalTransformer(names),  # untrained: passes the frames' logits through
        "GRU": Gru(len(names)),
        "transformer": TemporalTransformer(names),
    }
    rows: dict[str, Any] = {}
    for name, model in candidates.items():
        judge.temporal = model
        if name != "frames alone":
            train_temporal(judge, training, validation, plan.temporal, seed=plan.seed, log=io.StringIO())
        rows[name] = _figures(judge, clips)
    rows["transformer, order shuffled"] = _figures(judge, [_shuffled(s, k) for k, s in enumerate(clips)])
    rows["max of frames"] = _video(clips, [float(_fused(judge, s).max()) for s in clips])
    rows["logistic regression on track statistics"] = _video(clips, _by_statistics(judge, training, clips))
    result = {
        "what": "AUC of 1 s segments and of whole faces on validation clips, pristine and forged in part or whole",
        "clips": len(clips),
        "sources": len({s.source for s in clips}),
        "training_sequences": len(training),
        "rows": rows,
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(result, indent=1) + "\n")
    typer.echo(json.dumps(result, indent=1))


def _figures(judge: Judge, clips: Seq[Sequence]) -> dict[str, Any]:
    judge.temporal.eval()
    logits, truth, sources, means = [], [], [], []
    for clip in clips:
        stretches = judge_sequence(judge, clip)
        seconds = np.array([s.seconds for s in stretches])
        means.append(float(np.average([s.logit for s in stretches], weights=seconds)))
        for stretch in stretches:
            share = float(np.mean([clip.is_fake[i] for i in stretch.frame_indices]))
            if share == 0 or share >= 0.5:
                logits.append(stretch.logit)
                truth.append(share > 0)
                sources.append(clip.source)
    low, high = bootstrap_auc(truth, logits, sources, rounds=500)
    segments = {"auc": round(auc(truth, logits), 4), "auc_95": [round(low, 4), round(high, 4)], "count": len(truth)}
    return {"segment": segments, **_video(clips, means)}


def _video(clips: Seq[Sequence], scores: Seq[float]) -> dict[str, Any]:
    truth, sources = [bool(c.is_fake.any()) for c in clips], [c.source for c in clips]
    low, high = bootstrap_auc(truth, scores, sources, rounds=500)
    return {"face": {"auc": round(auc(truth, scores), 4), "auc_95": [round(low, 4), round(high, 4)]}}


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


def _shuffled(sequence: Sequence, seed: int) -> Sequence:
    """The same frames and truth in another order, at the same times."""
    order = np.random.default_rng(seed).permutation(len(sequence.is_fake))
    tokens = sequence.tokens
    mixed = FrameTokens({n: e[order] for n, e in tokens.embeddings.items()}, tokens.frame_logits[order], tokens.times)
    return Sequence(mixed, sequence.logits[order], sequence.is_fake[order], sequence.source, sequence.dataset)


if __name__ == "__main__":
    typer.run(main)
