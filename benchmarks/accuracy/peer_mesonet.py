"""The peer: the MesoNet authors' MesoInception weights on facenet-pytorch's crops, as people use them today.

The weight file (MesoInception_DF.h5, Apache-2.0) comes from the authors' repository, DariusAf/MesoNet. Needs h5py.
"""

from __future__ import annotations

import hashlib
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from facenet_pytorch import MTCNN
from torch import Tensor

from vidguard.errors import VidguardError
from vidguard.protocols.items import Item
from vidguard.protocols.protocol import Protocol
from vidguard.protocols.scores import FrameScore, Score
from vidguard.protocols.subject import score_chosen
from vidguard.published import read_encoder
from vidguard.types import FrameBatch

_BOX_SCALE = 1.3  # MesoNet's own margin around the face (Afchar 2018, section 3.1)


class MesoNetPeer:
    """Subject of a benchmark: chosen frames, largest face by facenet-pytorch, box x1.3, mean of frames."""

    def __init__(self, weights: Path) -> None:
        self.model = read_encoder(weights, "mesoinception4")
        self.faces = MTCNN(keep_all=False, select_largest=True, device="cpu")
        self._sha256 = hashlib.sha256(weights.read_bytes()).hexdigest()
        self._name = weights.stem

    def describe(self) -> dict[str, Any]:
        """Name and weights."""
        thresholds = dict.fromkeys(("threshold", "segment_threshold", "frame_threshold"), 0.5)
        return {"name": f"{self._name} + facenet-pytorch", "sha256": self._sha256, **thresholds}

    def score(self, item: Item, protocol: Protocol) -> Score:
        """Answer for one video by a protocol with chosen frames."""
        began = time.perf_counter()
        try:
            frames, decoded, _ = score_chosen(item.path, protocol, self._score)
        except (VidguardError, OSError) as error:
            return Score(item.id, None, "error", time.perf_counter() - began, detail=str(error))
        if not frames:
            return Score(item.id, None, "no_face" if decoded else "undecodable", time.perf_counter() - began)
        mean = float(np.mean([f.fake_prob for f in frames]))
        return Score(item.id, mean, "ok", time.perf_counter() - began, "", tuple(frames))

    def thumbnail(self, item: Item) -> None:
        """None is drawn for a peer."""

    @torch.inference_mode()
    def _score(self, batch: FrameBatch) -> list[FrameScore]:
        scores = []
        for frame, seconds in zip(batch.frames, batch.pts_seconds):
            crop = self._crop(frame)
            if crop is not None:
                # the authors' output is the probability of a real face: rounded as theirs, not as sigmoid(fake_logit)
                real = torch.sigmoid(-self.model(crop).fake_logit)
                scores.append(FrameScore(0, seconds, float(1 - real)))
        return scores

    def _crop(self, frame: Tensor) -> Tensor | None:
        image = frame.permute(1, 2, 0).numpy()
        boxes, _ = self.faces.detect(image)
        if boxes is None:
            return None
        x0, y0, x1, y1 = boxes[0]
        side, middle = max(x1 - x0, y1 - y0) * _BOX_SCALE, ((x0 + x1) / 2, (y0 + y1) / 2)
        left, top = (max(round(c - side / 2), 0) for c in middle)
        right, bottom = (round(c + side / 2) for c in middle)
        cut = image[top:bottom, left:right]
        if not cut.size:
            return None
        face = cv2.resize(cut, (256, 256), interpolation=cv2.INTER_LINEAR)
        return torch.from_numpy(face).permute(2, 0, 1)[None].float() / 255
