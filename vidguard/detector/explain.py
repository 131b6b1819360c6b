"""Why a finding was made: which frames, which encoders, which parts of the face."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from vidguard.detector.judge import Judge
from vidguard.encoders import CROP, ENCODERS, prepare_crops
from vidguard.errors import InputError
from vidguard.faces import crop_faces, template_landmarks
from vidguard.faces.regions import region_outline
from vidguard.sandbox import Sandbox
from vidguard.types import Explanation, Finding, Observation, Report
from vidguard.video import open_source

if TYPE_CHECKING:
    from vidguard.detector.detector import Detector, Source

FINDINGS: Final = 8
"""Findings explained, the most suspicious first."""
_LEAST_MAP: Final = 4  # px a side: a smaller map tells nothing about places
# by name the region of `vidguard.faces.regions`; of overlapping ones the first has the pixel, what is left the last
_PARTS: Final = {"eyes": "eyes", "nose": "nose", "mouth": "mouth", "rest of the face": "face"}
_AROUND: Final = "outline and surroundings"

Frame = Tensor
"""(1, 3, H, W) uint8 RGB."""


def explain(detector: Detector, source: Source, report: Report, *, sandbox: Sandbox | None = None) -> Report:
    """The same report with `explanations` of its most suspicious findings, at most `FINDINGS`.

    source: what the report was made from; a file object is read from its start. Each finding's most suspicious frame is
    decoded again, and every encoder's logit is traced back to the places of the face that it came from: the encoders'
    view of one frame, without time. (Blurring one part after another doesn't serve: a blurred part looks forged.)
    Raises InputError where the report is of other weights or of another source, SourceError where the source can't be
    read again.
    """
    if report.weights.sha256 != detector.weights.sha256:
        raise InputError(
            f"the report was made by {report.weights.name} ({report.weights.sha256[:12]}…); explain it with the same"
        )
    if not report.findings:
        return report
    chosen = sorted(report.findings, key=lambda f: -f.peak_fake_prob)[:FINDINGS]
    peaks = [(finding, _peak(report, finding)) for finding in chosen]
    frames = dict(_frames(detector, source, report, {seen.time for _, seen in peaks}, sandbox))
    found = [
        _explanation(detector.judge, finding.track_id, seen, frames[seen.time])
        for finding, seen in peaks
        if seen.time in frames
    ]
    return replace(report, explanations=tuple(sorted(found, key=lambda e: (e.time, e.track_id))))


def _peak(report: Report, finding: Finding) -> Observation:
    """The frame of a finding that looks most forged."""
    track = next(t for t in report.tracks if t.id == finding.track_id)
    inside = [o for o in track.observations if finding.start <= o.time < finding.end] or list(track.observations)
    return max(inside, key=lambda o: -1.0 if o.fake_prob is None else o.fake_prob)


def _frames(
    detector: Detector, source: Source, report: Report, times: set[float], sandbox: Sandbox | None
) -> Iterator[tuple[float, Frame]]:
    """The frames shown at these times, decoded again as the analysis decoded them."""
    if hasattr(source, "seek"):
        source.seek(0)
    backend, limits = report.engine.reader, detector.config.limits
    with open_source(source, device=detector.device, backend=backend, limits=limits, sandbox=sandbox) as reader:
        report.require_source(reader.info)
        still = reader.info.kind == "image"
        rate = None if still else report.settings["frames_per_second"]
        left, shown = sorted(times), None
        for batch in reader.batches(frames_per_second=rate):
            for frame, time in zip(batch.frames, batch.pts_seconds):
                while left and shown is not None and left[0] < time:
                    yield left.pop(0), shown
                if not left:
                    return
                shown = frame[None]
        if shown is not None:
            yield from ((time, shown.clone()) for time in left)


def _explanation(judge: Judge, track_id: int, seen: Observation, frame: Frame) -> Explanation:
    landmarks = torch.tensor([seen.landmarks_px], dtype=torch.float32)
    crop = crop_faces(frame[0], landmarks, CROP)
    members, evidence = {}, np.zeros((CROP.size, CROP.size), np.float32)
    for name, weight in zip(judge.names, judge.fusion.weight[0].tolist()):
        logit, part = evidence_map(judge.encoders[name], prepare_crops(crop, ENCODERS[name].input_size))
        members[name] = round(weight * logit, 3)
        fine = cv2.resize(part, evidence.shape, interpolation=cv2.INTER_CUBIC)
        evidence += weight * fine * (part.size / fine.size)  # a map's sum counts, however coarse it is
    return Explanation(track_id, seen.time, members, _shares(evidence), _picture(crop[0].cpu(), evidence))


def evidence_map(encoder: nn.Module, crop: Tensor) -> tuple[float, NDArray[np.float32]]:
    """An encoder's logit of one prepared crop (1, 3, S, S), and what each place (h, w) adds to it.

    Activation times gradient at the last feature map of 4 px or more (HiResCAM: Draelos & Carin, 2020). Where only an
    average and a linear layer follow, as in EfficientNet-Lite, the map plus a constant sums up to the logit exactly.
    """
    maps: list[Tensor] = []

    def keep(_: nn.Module, __: object, output: object) -> None:
        if isinstance(output, Tensor) and output.ndim == 4 and min(output.shape[2:]) >= _LEAST_MAP:
            maps.append(output)

    hooks = [module.register_forward_hook(keep) for module in encoder.modules()]
    try:
        with torch.enable_grad():
            logit = encoder(crop.contiguous(memory_format=torch.channels_last)).fake_logit[0]
            if not maps:  # statistics of the crop as a whole: no place adds anything
                return logit.item(), np.zeros((1, 1), np.float32)
            (slope,) = torch.autograd.grad(logit, maps[-1])
    finally:
        for hook in hooks:
            hook.remove()
    return logit.item(), (maps[-1] * slope).sum(1)[0].detach().float().cpu().numpy()


def _shares(added: NDArray[np.float32]) -> dict[str, float]:
    """Evidence by part of the face, largest first; every pixel belongs to one part."""
    evidence = np.clip(added, 0, None)
    total = float(evidence.sum())
    if total == 0:
        return {}
    points = template_landmarks(CROP).numpy()
    free = np.ones(evidence.shape, bool)
    shares = {}
    for part, region in _PARTS.items():
        inside = np.zeros(evidence.shape, np.uint8)
        cv2.fillPoly(inside, [np.round(region_outline(points, region)).astype(np.int32)], 1)
        here = free & (inside > 0)
        shares[part] = round(float(evidence[here].sum()) / total, 3)
        free &= ~here
    shares[_AROUND] = round(float(evidence[free].sum()) / total, 3)
    return dict(sorted(shares.items(), key=lambda item: -item[1]))


def _picture(crop: Tensor, added: NDArray[np.float32]) -> bytes:
    """The crop, grey and pale where nothing speaks for a forgery, marked in vermilion where most does."""
    image = crop.permute(1, 2, 0).numpy().astype(np.float32)
    evidence = cv2.GaussianBlur(np.clip(added, 0, None), (0, 0), image.shape[0] / 40)
    strength = (evidence / max(float(evidence.max()), 1e-6))[..., None]
    grey = image.mean(2, keepdims=True) * 0.75 + 64
    marked = grey + strength * (0.55 * image + 0.45 * np.array([205, 62, 20], np.float32) - grey)
    ok, data = cv2.imencode(".jpg", marked.clip(0, 255).astype(np.uint8)[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 85])
    assert ok
    return data.tobytes()
