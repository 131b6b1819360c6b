"""Published weight files: read safely, answer as the original network does, and say that nothing calibrated them."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import h5py
import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from skimage.data import astronaut

import vidguard
from vidguard.detector import load_judge
from vidguard.detector.golden import golden
from vidguard.encoders import ENCODERS
from vidguard.errors import InputError, WeightsError
from vidguard.published import import_weights, read_encoder
from vidguard.scoring.calibration import Band, Calibration, DecisionRule, Platt
from vidguard.weights import find_weights, list_weights, read_passport, read_tensors

AUTHORS = Path(__file__).parents[2] / "shared" / "data" / "published"
Layers = dict[str, list[dict[str, np.ndarray]]]

# the networks as Keras holds them: kernels (height, width, in, out), layers in the order in which they are made
MESO4 = [(3, 3, 8), (5, 8, 8), (5, 8, 16), (5, 16, 16)]
INCEPTION = [(1, 3, 1), (1, 3, 4), (3, 4, 4), (1, 3, 4), (3, 4, 4), (1, 3, 2), (3, 2, 2)]
INCEPTION += [(1, 11, 2), (1, 11, 4), (3, 4, 4), (1, 11, 4), (3, 4, 4), (1, 11, 2), (3, 2, 2), (5, 12, 16), (5, 16, 16)]
NORMS = {"meso4": (8, 8, 16, 16), "mesoinception4": (11, 12, 16, 16)}


def random_layers(architecture: str, seed: int = 0) -> Layers:
    rng = np.random.default_rng(seed)

    def normal(*shape: int, scale: float) -> np.ndarray:
        return rng.normal(0, scale, shape).astype(np.float32)

    convs = MESO4 if architecture == "meso4" else INCEPTION
    return {
        "conv2d": [
            {"kernel": normal(k, k, i, o, scale=(2 / (k * k * i)) ** 0.5), "bias": normal(o, scale=0.1)}
            for k, i, o in convs
        ],
        "batch_normalization": [
            {
                "gamma": 1 + normal(n, scale=0.1),
                "beta": normal(n, scale=0.1),
                "moving_mean": normal(n, scale=0.1),
                "moving_variance": rng.uniform(0.1, 0.5, n).astype(np.float32),
            }
            for n in NORMS[architecture]
        ],
        "dense": [
            {"kernel": normal(1024, 16, scale=0.05), "bias": normal(16, scale=0.1)},
            {"kernel": normal(16, 1, scale=0.5), "bias": normal(1, scale=0.1)},
        ],
    }


def write_keras(path: Path, layers: Layers, *, first: int = 1, root: str = "", suffix: str = ":0") -> Path:
    """As Keras 2 writes it; layer numbers start anywhere, and 0 is written without its number."""
    with h5py.File(path, "w") as file:
        for kind, many in layers.items():
            for number, weights in enumerate(many, first):
                layer = f"{kind}_{number}" if number else kind
                for name, values in weights.items():
                    file[f"{root}{layer}/{layer}/{name}{suffix}"] = values
        file.create_group(f"{root}dropout_{first}")
    return path


def read_layers(path: Path) -> Layers:
    """The authors' files, read without vidguard."""
    found: dict[tuple[str, int], dict[str, np.ndarray]] = {}

    def take(name: str, node: object) -> None:
        if isinstance(node, h5py.Dataset):
            layer, weight = name.split("/")[1:]
            kind, number = layer.rsplit("_", 1)
            found.setdefault((kind, int(number)), {})[weight.split(":")[0]] = node[()]

    with h5py.File(path) as file:
        file.visititems(take)
    return {k: [found[key] for key in sorted(found) if key[0] == k] for k in ("conv2d", "batch_normalization", "dense")}


def conv(x: np.ndarray, layer: dict[str, np.ndarray], dilation: int = 1) -> np.ndarray:
    kernel = layer["kernel"].astype(np.float64)
    height, width, _ = x.shape
    pad = dilation * (len(kernel) // 2)
    padded = np.pad(x, ((pad, pad), (pad, pad), (0, 0)))
    out = np.zeros((height, width, kernel.shape[3])) + layer["bias"]
    for row in range(len(kernel)):
        for column in range(len(kernel)):
            top, left = row * dilation, column * dilation
            out += padded[top : top + height, left : left + width] @ kernel[row, column]
    return np.maximum(out, 0)


def norm_and_pool(x: np.ndarray, layer: dict[str, np.ndarray], pool: int) -> np.ndarray:
    scaled = (x - layer["moving_mean"]) / np.sqrt(layer["moving_variance"].astype(np.float64) + 1e-3)
    x = scaled * layer["gamma"] + layer["beta"]
    return x.reshape(x.shape[0] // pool, pool, x.shape[1] // pool, pool, -1).max(axis=(1, 3))


def keras_logit(architecture: str, layers: Layers, image: np.ndarray) -> float:
    """What goes into the last sigmoid of the Keras network, in plain numpy; image (256, 256, 3) in 0..1. 1 is real."""
    convs, norms, (hidden, last) = layers["conv2d"], layers["batch_normalization"], layers["dense"]
    x = image.astype(np.float64)
    if architecture == "mesoinception4":
        for block in (0, 1):
            one, *rest = convs[7 * block : 7 * block + 7]
            branches = [conv(conv(x, rest[2 * i]), rest[2 * i + 1], dilation=i + 1) for i in range(3)]
            x = norm_and_pool(np.concatenate([conv(x, one), *branches], axis=2), norms[block], 2)
        convs, norms = convs[14:], norms[2:]
    for index, (layer, norm) in enumerate(zip(convs, norms)):
        x = norm_and_pool(conv(x, layer), norm, 4 if index == len(convs) - 1 else 2)
    x = x.reshape(-1) @ hidden["kernel"].astype(np.float64) + hidden["bias"]
    x = np.where(x > 0, x, 0.1 * x)
    return float((x @ last["kernel"] + last["bias"])[0])


def pictures() -> np.ndarray:
    """(3, 256, 256, 3) uint8: a face, a gradient and noise."""
    face = cv2.resize(astronaut()[0:256, 96:352], (256, 256))
    ramp = np.add.outer(np.arange(256), np.arange(256))[..., None] // np.array([2, 3, 5])
    noise = np.random.default_rng(1).integers(0, 256, (256, 256, 3))
    return np.stack([face, ramp, noise]).astype(np.uint8)


@pytest.mark.parametrize("architecture", NORMS)
def test_an_imported_set_gives_one_minus_the_keras_networks_output(architecture: str, tmp_path: Path) -> None:
    layers = random_layers(architecture)
    file = write_keras(tmp_path / "net.h5", layers, first=5)
    entry = import_weights(file, architecture=architecture, name="mine", out=tmp_path / "sets")
    found = vidguard.load(str(entry.folder), device="cpu").score_crops(pictures().transpose(0, 3, 1, 2))
    real = np.array([keras_logit(architecture, layers, picture / 255) for picture in pictures()])
    assert np.ptp(real) > 0.1  # pictures that all got one answer would show nothing
    np.testing.assert_allclose(found, 1 - 1 / (1 + np.exp(-real)), atol=1e-5)


@pytest.mark.skipif(not AUTHORS.is_dir(), reason="the authors' weight files are not here")
@pytest.mark.parametrize("name", ["Meso4_DF", "Meso4_F2F", "MesoInception_DF", "MesoInception_F2F"])
def test_the_authors_files_answer_as_in_keras(name: str) -> None:
    architecture = "meso4" if name.startswith("Meso4") else "mesoinception4"
    encoder = read_encoder(AUTHORS / f"{name}.h5", architecture)
    layers = read_layers(AUTHORS / f"{name}.h5")
    with torch.inference_mode():
        found = encoder(torch.from_numpy(pictures()).permute(0, 3, 1, 2).float() / 255).fake_logit.numpy()
    real = [keras_logit(architecture, layers, picture / 255) for picture in pictures()]
    np.testing.assert_allclose(found, -np.array(real), rtol=1e-4, atol=1e-3)


def meso4_file(folder: Path) -> Path:
    return write_keras(folder / "net.h5", random_layers("meso4"))


def test_a_set_is_complete_and_says_that_it_is_not_calibrated(tmp_path: Path) -> None:
    entry = import_weights(meso4_file(tmp_path), architecture="meso4", name="mine", out=tmp_path, licence="Apache-2.0")
    files = {"CARD.md", "golden.safetensors", "model.safetensors", "passport.json"}
    assert {file.name for file in entry.folder.iterdir()} == files
    assert "Not calibrated" in (entry.folder / "CARD.md").read_text()
    passport = read_passport(entry)
    assert passport.calibration.fitted_on is None
    assert passport.calibration.video(1.5) == pytest.approx(1 / (1 + np.exp(-1.5)))
    judge, _ = load_judge(find_weights(entry.folder))
    expected = read_tensors(entry, "golden.safetensors")
    for key, value in golden(judge).items():
        torch.testing.assert_close(value, expected[key], atol=1e-4, rtol=1e-4)
    assert expected["fake_logit"].std() > 1e-3
    torch.testing.assert_close(expected["frame_logits"][0], expected["fake_logit"])  # no temporal part
    torch.testing.assert_close(expected["window_logits"][0], expected["fake_logit"].mean())


def test_a_report_made_with_imported_weights_says_that_they_are_not_calibrated(tmp_path: Path) -> None:
    entry = import_weights(meso4_file(tmp_path), architecture="meso4", name="mine", out=tmp_path)
    _, png = cv2.imencode(".png", astronaut()[..., ::-1])
    report = vidguard.load(str(entry.folder), device="cpu").analyze(png.tobytes())
    assert report.fake_prob is not None
    assert "NOT calibrated" in report.weights.threshold_note
    assert report.weights.threshold == 0.5
    assert report.decision is None


def test_sets_share_a_folder_and_none_is_overwritten_or_left_half_written(tmp_path: Path) -> None:
    file, out = meso4_file(tmp_path), tmp_path / "sets"
    for name in ("b", "a"):
        import_weights(file, architecture="meso4", name=name, out=out, licence="„frei“ 🙂")
    before = {f: f.read_bytes() for f in out.rglob("*") if f.is_file()}
    with pytest.raises(WeightsError, match="there already"):
        import_weights(file, architecture="meso4", name="a", out=out)
    with pytest.raises(WeightsError, match="another network"):
        import_weights(file, architecture="mesoinception4", name="c", out=out)
    for name in ("../c", "", ".c", "c/d", "c\n", "manifest.toml", "Manifest.TOML"):
        with pytest.raises(InputError, match="can't be called"):
            import_weights(file, architecture="meso4", name=name, out=out)
    with pytest.raises(InputError, match="one line"):
        import_weights(file, architecture="meso4", name="c", out=out, licence="a\nb")
    assert {f: f.read_bytes() for f in out.rglob("*") if f.is_file()} == before
    assert [(e.name, e.default, e.licence) for e in list_weights(out)] == [
        ("b", True, "„frei“ 🙂"),
        ("a", False, "„frei“ 🙂"),
    ]
    (out / "manifest.toml").write_text("[")
    with pytest.raises(WeightsError, match=r"manifest\.toml can't be read"):
        import_weights(file, architecture="meso4", name="c", out=out)
    assert {f.name for f in out.iterdir()} == {"a", "b", "manifest.toml"}


def test_a_whole_model_and_newer_names_are_read_too(tmp_path: Path) -> None:
    layers = random_layers("mesoinception4")
    plain = read_encoder(write_keras(tmp_path / "a.h5", layers), "mesoinception4")
    whole = write_keras(tmp_path / "b.h5", layers, first=0, root="model_weights/", suffix="")
    with h5py.File(whole, "a") as file:
        file["optimizer_weights/Adam/conv2d_1/kernel/m:0"] = np.ones(3)
    found = read_encoder(whole, "mesoinception4").state_dict()
    for key, value in plain.state_dict().items():
        assert torch.equal(found[key], value), key


def test_a_state_dict_in_safetensors_keeps_its_sign(tmp_path: Path) -> None:
    torch.manual_seed(0)
    encoder = ENCODERS["meso4"]().eval()
    save_file(encoder.state_dict(), tmp_path / "net.safetensors")
    crops = torch.rand(2, 3, 256, 256)
    with torch.inference_mode():
        expected = encoder(crops).fake_logit
        torch.testing.assert_close(read_encoder(tmp_path / "net.safetensors", "meso4")(crops).fake_logit, expected)
    for room in range(0, 256, 8):  # among the lengths that a file begins with is one that looks like a pickle's start
        save_file(encoder.state_dict(), tmp_path / "net.safetensors", metadata={"about": "x" * room})
        read_encoder(tmp_path / "net.safetensors", "meso4")
    save_file({k: v for k, v in encoder.state_dict().items() if k != "head.bias"}, tmp_path / "net.safetensors")
    with pytest.raises(WeightsError, match=re.escape("head.bias")):
        read_encoder(tmp_path / "net.safetensors", "meso4")


KERNEL = "conv2d_2/conv2d_2/kernel:0"


def _replace(file: h5py.File, **how: object) -> None:
    values = file[KERNEL][()]
    del file[KERNEL]
    file.create_dataset(KERNEL, data=values, **how)


def _external_storage(file: h5py.File) -> None:
    secret = Path(file.filename).with_name("secret")
    secret.write_bytes(bytes(5 * 5 * 8 * 8 * 4))
    del file[KERNEL]
    file.create_dataset(KERNEL, (5, 5, 8, 8), "f4", external=[(str(secret), 0, 5 * 5 * 8 * 8 * 4)])


def _virtual(file: h5py.File) -> None:
    layout = h5py.VirtualLayout((5, 5, 8, 8), "f4")
    layout[...] = h5py.VirtualSource(file.filename, KERNEL, (5, 5, 8, 8))
    del file[KERNEL]
    file.create_virtual_dataset(KERNEL, layout)


def _instead(file: h5py.File, link: object) -> None:
    del file[KERNEL]
    file[KERNEL] = link


HOSTILE: dict[str, tuple[Callable[[h5py.File], None], str]] = {
    "external link": (lambda f: _instead(f, h5py.ExternalLink("other.h5", "/x")), "link"),
    "soft link": (lambda f: _instead(f, h5py.SoftLink("/conv2d_3/conv2d_3/kernel:0")), "link"),
    "external storage": (_external_storage, "no plain array"),
    "virtual dataset": (_virtual, "no plain array"),
    "compressed": (lambda f: _replace(f, compression="gzip"), "no plain array"),
    "objects": (lambda f: _instead(f, np.array(["code"], dtype=h5py.string_dtype())), "no plain array"),
    "integers": (lambda f: _instead(f, np.zeros((5, 5, 8, 8), np.int8)), "no plain array"),
    "a committed type": (lambda f: f.__setitem__("x", np.dtype("f4")), "Keras doesn't write"),
    "groups in a ring": (lambda f: f.__setitem__("dropout_1/again", f["dropout_1"]), "Keras doesn't write"),
    "many objects": (lambda f: [f.create_group(f"g{i}") for i in range(1001)], "more than"),
    "an unknown layer": (lambda f: f.__setitem__("gru_1/gru_1/kernel:0", np.ones(3)), "no MesoNet has"),
    "a weight twice": (lambda f: f.__setitem__("x/conv2d_2/bias:0", np.ones(8)), "twice"),
    "a weight too few": (lambda f: f.__delitem__("conv2d_2/conv2d_2/bias:0"), "needs kernel, bias"),
    "a layer too few": (lambda f: f.__delitem__("dense_2"), "another network"),
    "another shape": (lambda f: _instead(f, np.ones((5, 5, 8, 9), np.float32)), "another network"),
    "another rank": (lambda f: _instead(f, np.ones((5, 5, 8), np.float32)), "another network"),
    "not a number": (lambda f: _instead(f, np.full((5, 5, 8, 8), np.nan, np.float32)), "impossible"),
    "a negative variance": (
        lambda f: f["batch_normalization_1/batch_normalization_1/moving_variance:0"].__setitem__(0, -1),
        "impossible",
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_and_unfit_hdf5_is_refused(name: str, tmp_path: Path) -> None:
    change, message = HOSTILE[name]
    path = meso4_file(tmp_path)
    read_encoder(path, "meso4")
    with h5py.File(path, "a") as file:
        change(file)
    with pytest.raises(WeightsError, match=message):
        read_encoder(path, "meso4")


def test_damaged_files_and_pickles_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good, path = meso4_file(tmp_path).read_bytes(), tmp_path / "net"
    for size in (9, 100, 2000, len(good) // 2, len(good) - 1):
        path.write_bytes(good[:size])
        with pytest.raises(WeightsError, match="damaged"):
            read_encoder(path, "meso4")
    for content in (b"", b"<html>", bytes(100)):
        path.write_bytes(content)
        with pytest.raises(WeightsError, match=r"no Keras \.h5 file, no torch\.save file and no safetensors"):
            read_encoder(path, "meso4")
    torch.save(ENCODERS["meso4"]().state_dict(), path, _use_new_zipfile_serialization=False)
    with pytest.raises(WeightsError, match="bare pickle"):
        read_encoder(path, "meso4")
    path.write_bytes(good + bytes(17 << 20))
    with pytest.raises(WeightsError, match="larger than 16 MiB"):
        read_encoder(path, "meso4")
    with pytest.raises(WeightsError, match="can't be read"):
        read_encoder(tmp_path / "missing.h5", "meso4")
    with pytest.raises(InputError, match="meso4, mesoinception4"):
        read_encoder(path.with_name("net.h5"), "resnet")
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(WeightsError, match=re.escape("vidguard[keras]")):
        read_encoder(path.with_name("net.h5"), "meso4")


def test_a_calibration_fitted_on_nothing_changes_nothing() -> None:
    scalings = {"frame": Platt(1, 0), "segment": Platt(1, 0), "video": Platt(2, 0)}
    thresholds = {"frame_threshold": 0.5, "segment_threshold": 0.5, "video_threshold": 0.5, "threshold_note": ""}
    assert Calibration(**scalings, **thresholds, fitted_on="clips").video.slope == 2
    with pytest.raises(ValueError, match="fitted on nothing"):
        Calibration(**scalings, **thresholds, fitted_on=None)
    bands = {level: Band(0.1, 0.9) for level in ("frame", "segment", "video")}
    same = dict.fromkeys(scalings, Platt(1, 0))
    with pytest.raises(ValueError, match="promises no error rate"):
        Calibration(**same, **thresholds, fitted_on=None, rules=(DecisionRule(0.05, note="", **bands),))
