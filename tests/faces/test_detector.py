"""The cascade: against facenet_pytorch on the same pictures, and against itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import room
from torch import Tensor

from vidguard.config import FaceConfig
from vidguard.errors import InputError, WeightsError
from vidguard.faces import Detections, FaceDetector
from vidguard.faces import mtcnn as networks

BOX_TOLERANCE_PX, PROB_TOLERANCE = 0.01, 1e-4


def assert_same(left: Detections, right: Detections, tolerance_px: float = BOX_TOLERANCE_PX) -> None:
    assert len(left) == len(right)
    torch.testing.assert_close(left.boxes_xyxy_px, right.boxes_xyxy_px, atol=tolerance_px, rtol=0)
    torch.testing.assert_close(left.landmarks_px, right.landmarks_px, atol=tolerance_px, rtol=0)
    torch.testing.assert_close(left.probs, right.probs, atol=PROB_TOLERANCE, rtol=0)


@pytest.mark.parametrize(("min_face_px", "factor"), [(20, 0.709), (40, 0.6)])
def test_equals_facenet_pytorch(group_photos: Tensor, min_face_px: int, factor: float) -> None:
    pytest.importorskip("torchvision")
    from facenet_pytorch import MTCNN

    thresholds = [0.6, 0.7, 0.7]
    reference = MTCNN(
        keep_all=True, post_process=False, min_face_size=min_face_px, thresholds=thresholds, factor=factor
    )
    config = FaceConfig(min_face_px=min_face_px, pyramid_factor=factor, max_detection_side_px=10_000)
    ours = FaceDetector(config).detect(group_photos)
    assert all(len(faces) >= least for faces, least in zip(ours, (4, 4, 2)))
    for photo, faces in zip(group_photos, ours):
        boxes, probs, landmarks = reference.detect(photo.permute(1, 2, 0).numpy(), landmarks=True)
        values = (np.asarray(value, dtype=np.float32) for value in (boxes, landmarks, probs))
        assert_same(faces, Detections(*(torch.from_numpy(value) for value in values)))


def test_finds_the_astronaut_where_she_is(detector: FaceDetector, group_photos: Tensor) -> None:
    found = detector.detect(group_photos[:1])[0]
    boxes = found.boxes_xyxy_px
    (there,) = ((boxes[:, :2] < torch.tensor([245, 130])) & (boxes[:, 2:] > torch.tensor([245, 150]))).all(1).nonzero()
    eye_left, eye_right, nose, mouth_left, mouth_right = found.landmarks_px[there[0]]
    assert (nose - torch.tensor([245.0, 150.0])).norm() < 10
    assert eye_left[0] < nose[0] < eye_right[0]
    assert eye_left[1] < nose[1] < mouth_left[1]
    assert mouth_left[0] < mouth_right[0]


def test_batch_composition_does_not_matter(detector: FaceDetector, group_photos: Tensor) -> None:
    together = detector.detect(group_photos)
    for photo, faces in zip(group_photos.flip(0), reversed(together)):
        assert_same(detector.detect(photo[None])[0], faces, tolerance_px=1e-3)


def test_one_pass_over_many_frames_equals_many_passes(
    detector: FaceDetector, group_photos: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Accelerators take many frames in one pass, a CPU takes one; both ways of batching must agree.
    singles = detector.detect(group_photos)
    monkeypatch.setattr("vidguard.faces.detector._passes", lambda frames, device: (frames,))
    monkeypatch.setattr("vidguard.faces.detector._CROPS_PER_PASS", 7)
    for left, right in zip(detector.detect(group_photos), singles):
        assert_same(left, right, tolerance_px=1e-3)


def test_large_frames_are_scaled_and_boxes_scaled_back(group_photos: Tensor) -> None:
    full = FaceDetector(FaceConfig(min_face_px=60)).detect(group_photos[:1])[0]
    scaled = FaceDetector(FaceConfig(min_face_px=60, max_detection_side_px=500)).detect(group_photos[:1])[0]
    assert len(full) == len(scaled)
    # Equal sizes may swap places in the order by size, so compare from left to right.
    left, right = full.landmarks_px[:, 2].sort(0).values, scaled.landmarks_px[:, 2].sort(0).values
    assert (left - right).abs().max() < 5


def test_no_frames_no_faces_and_tiny_frames(detector: FaceDetector) -> None:
    assert detector.detect(torch.zeros(0, 3, 64, 64, dtype=torch.uint8)) == []
    assert len(detector.detect(room(320, 240)[None])[0]) == 0
    assert len(detector.detect(torch.zeros(1, 3, 1, 5, dtype=torch.uint8))[0]) == 0
    noise = torch.randint(0, 256, (2, 3, 120, 160), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    assert all(isinstance(found, Detections) for found in detector.detect(noise))


@pytest.mark.parametrize("frames", [torch.zeros(1, 3, 9, 9), torch.zeros(3, 9, 9, dtype=torch.uint8)])
def test_wrong_frames_are_refused(detector: FaceDetector, frames: Tensor) -> None:
    with pytest.raises(InputError, match="uint8"):
        detector.detect(frames)
    with pytest.raises(InputError, match="uint8"):
        detector.refine(frames, [torch.zeros(0, 4)])


def test_refine_recovers_faces_from_shifted_boxes(detector: FaceDetector, group_photos: Tensor) -> None:
    found = detector.detect(group_photos[:1])[0]
    sides = found.boxes_xyxy_px[:, 2:] - found.boxes_xyxy_px[:, :2]
    for shift in ([0.15, -0.1, 0.15, -0.1], [-0.15, -0.1, 0.0, 0.1], [0.0, 0.0, 0.0, 0.0]):
        guesses = found.boxes_xyxy_px + torch.tensor(shift) * sides.repeat(1, 2)
        refined = detector.refine(group_photos[:1], [guesses])[0]
        error = (refined.landmarks_px - found.landmarks_px).norm(dim=2).mean(1) / sides.mean(1)
        assert (refined.probs > 0.7).all()
        assert error.max() < 0.06


def test_refine_answers_each_box_in_its_row(detector: FaceDetector, group_photos: Tensor) -> None:
    face = detector.detect(group_photos[:1])[0].boxes_xyxy_px[:1]
    nowhere = torch.tensor([[5000.0, 5000.0, 5050.0, 5050.0], [100.0, 420.0, 160.0, 480.0], [float("nan")] * 4])
    boxes = torch.cat([nowhere[:2], face, nowhere[2:]])
    refined = detector.refine(group_photos[:1], [boxes])[0]
    accepted = refined.probs > detector.config.thresholds[2]
    assert accepted.tolist() == [False, False, True, False]
    alone = detector.refine(group_photos[:1], [face])[0]
    torch.testing.assert_close(refined.boxes_xyxy_px[2], alone.boxes_xyxy_px[0], atol=1e-3, rtol=0)
    assert len(detector.refine(group_photos[:1], [torch.zeros(0, 4)])[0]) == 0
    with pytest.raises(InputError, match="1 frames but 2"):
        detector.refine(group_photos[:1], [face, face])


def test_altered_weights_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("pnet", "rnet", "onet"):
        (tmp_path / f"{name}.pt").write_bytes(b"not the weights")
    monkeypatch.setattr(networks, "_weights_folder", lambda: tmp_path)
    with pytest.raises(WeightsError, match="reinstall"):
        networks.load_networks("cpu")
    (tmp_path / "pnet.pt").unlink()
    with pytest.raises(WeightsError, match="can't read"):
        networks.load_networks("cpu")


def test_loading_does_not_import_torchvision() -> None:
    import subprocess
    import sys

    code = (
        "import sys; from vidguard.faces import FaceDetector; FaceDetector();"
        "sys.exit(any(m.split('.')[0] in ('torchvision', 'facenet_pytorch') for m in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
