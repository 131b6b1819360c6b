"""Files of torch.save: read whole, without running what they hold."""

from __future__ import annotations

import zipfile
from collections import OrderedDict
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import vidguard
from vidguard.encoders import ENCODERS
from vidguard.errors import InputError, WeightsError
from vidguard.published import import_weights, read_encoder
from vidguard.published.torch_file import read_torch


def saved(path: Path, content: object, **options: object) -> bytes:
    torch.save(content, path, **options)
    return path.read_bytes()


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_tensors_are_those_that_were_saved(protocol: int, tmp_path: Path) -> None:
    shared = torch.arange(24.0).reshape(2, 3, 4)
    state = OrderedDict(
        plain=torch.randn(3, 2),
        turned=shared.permute(2, 0, 1),
        part=shared[1, 1:, ::2],
        parameter=nn.Parameter(torch.randn(4)),
        scalar=torch.tensor(7),
        empty=torch.zeros(0, 3),
        half=torch.randn(2).half(),
        brain=torch.randn(2).bfloat16(),
        double=torch.randn(2).double(),
    )
    content = saved(tmp_path / "net.pth", state, pickle_protocol=protocol)
    found = read_torch(content, "net.pth")
    assert list(found) == list(state)
    for key, tensor in state.items():
        assert found[key].dtype == tensor.dtype
        assert torch.equal(found[key], tensor), key


@pytest.mark.parametrize("key", ["state_dict", "model_state_dict", "model", "net"])
def test_a_trainings_checkpoint_gives_its_network(key: str, tmp_path: Path) -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    optimizer = torch.optim.AdamW(net.parameters())
    net(torch.rand(1, 3, 8, 8)).sum().backward()
    optimizer.step()
    checkpoint = {"epoch": 3, "best": 0.5, key: net.state_dict(), "optimizer": optimizer.state_dict(), "done": True}
    found = read_torch(saved(tmp_path / "net.pth", checkpoint), "net.pth")
    assert list(found) == list(net.state_dict())


class Code:
    """Pickled as a call."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[[Path], None], tuple[Path]]:
        return Path.touch, (self.path,)


def rezipped(path: Path, change: Callable[[str, bytes], bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    made = path.with_suffix(".changed")
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(made, "w", compression) as out:
        for member in source.namelist():
            out.writestr(member, change(member, source.read(member)))
    return made.read_bytes()


def test_nothing_that_a_file_holds_is_run(tmp_path: Path) -> None:
    touched = tmp_path / "touched"
    path = tmp_path / "net.pth"
    with pytest.raises(WeightsError, match=r"getattr.*isn't run"):
        read_torch(saved(path, {"a": torch.ones(2), "b": Code(touched)}), "net.pth")
    with pytest.raises(WeightsError, match="no state dict"):
        read_torch(saved(path, nn.Linear(2, 2)), "net.pth")
    saved(path, {"a": torch.ones(2)})
    program = f"cposix\nsystem\n(S'touch {touched}'\ntR.".encode()  # the oldest protocol, by other instructions
    with pytest.raises(WeightsError):
        read_torch(rezipped(path, lambda name, data: program if name.endswith("data.pkl") else data), "net.pth")
    assert not touched.exists()


def test_damaged_and_boundless_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "net.pth"
    content = saved(path, {"a": torch.ones(50, 50)})
    for size in (4, 100, len(content) // 2, len(content) - 1):
        with pytest.raises(WeightsError, match="damaged"):
            read_torch(content[:size], "net.pth")
    with pytest.raises(WeightsError, match="compressed"):
        read_torch(rezipped(path, lambda _, data: data, zipfile.ZIP_DEFLATED), "net.pth")
    with pytest.raises(WeightsError, match="doesn't lie in its"):
        read_torch(rezipped(path, lambda name, data: data[:400] if "/data/" in name else data), "net.pth")
    with pytest.raises(WeightsError, match="big-endian"):
        read_torch(rezipped(path, lambda name, data: b"big" if name.endswith("byteorder") else data), "net.pth")
    # the shape 50 x 50 becomes 50 x 50 over strides that reach elsewhere
    with pytest.raises(WeightsError, match="doesn't lie in its"):
        read_torch(rezipped(path, lambda _, data: data.replace(b"K2K\x01\x86", b"K2K2\x86")), "net.pth")
    for state in ({}, {"a": 1}, [torch.ones(2)], torch.ones(2)):
        with pytest.raises(WeightsError, match="no state dict"):
            read_torch(saved(path, state), "net.pth")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(WeightsError, match=r"not one of torch\.save"):
        read_torch(path.read_bytes(), "net.pth")


class Separable(nn.Module):
    def __init__(self, cin: int, cout: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(cin, cin, 3, padding=1, groups=cin, bias=False)
        self.pointwise = nn.Conv2d(cin, cout, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.pointwise(self.conv1(x))


class Block(nn.Module):
    def __init__(self, widths: tuple[int, ...], *, relu_first: bool, pools: bool) -> None:
        super().__init__()
        if pools:
            self.skip = nn.Conv2d(widths[0], widths[-1], 1, 2, bias=False)
            self.skipbn = nn.BatchNorm2d(widths[-1])
        layers: list[nn.Module] = []
        for cin, cout in pairwise(widths):
            layers += [nn.ReLU(), Separable(cin, cout), nn.BatchNorm2d(cout)]
        self.rep = nn.Sequential(*layers[not relu_first :], *([nn.MaxPool2d(3, 2, 1)] if pools else []))

    def forward(self, x: Tensor) -> Tensor:
        return self.rep(x) + (self.skipbn(self.skip(x)) if hasattr(self, "skip") else x)


class PublishedXception(nn.Module):
    """Named as the port of Xception that FaceForensics++ and DeepfakeBench train; two outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 32, 3, 2, bias=False), nn.BatchNorm2d(32)
        self.conv2, self.bn2 = nn.Conv2d(32, 64, 3, bias=False), nn.BatchNorm2d(64)
        widths = [(64, 128, 128), (128, 256, 256), (256, 728, 728), *[(728,) * 4] * 8, (728, 728, 1024)]
        for number, each in enumerate(widths, start=1):
            self.add_module(f"block{number}", Block(each, relu_first=number > 1, pools=len(each) == 3))
        self.conv3, self.bn3 = Separable(1024, 1536), nn.BatchNorm2d(1536)
        self.conv4, self.bn4 = Separable(1536, 2048), nn.BatchNorm2d(2048)
        self.adjust_channel = nn.Sequential(nn.Conv2d(2048, 512, 1), nn.BatchNorm2d(512))  # of no use
        self.last_linear = nn.Sequential(nn.Dropout(0.5), nn.Linear(2048, 2))

    def forward(self, x: Tensor) -> Tensor:
        x = (x - 0.5) / 0.5
        x = self.bn2(self.conv2(self.bn1(self.conv1(x)).relu())).relu()
        for number in range(1, 13):
            x = self.get_submodule(f"block{number}")(x)
        x = self.bn4(self.conv4(self.bn3(self.conv3(x)).relu())).relu()
        return self.last_linear(x.mean((2, 3)))


@pytest.mark.parametrize("wrapper", ["", "module.", "model.", "backbone."])
def test_a_published_xception_answers_as_it_did(wrapper: str, tmp_path: Path) -> None:
    torch.manual_seed(1)
    theirs = PublishedXception()
    crops = torch.rand(2, 3, 299, 299)
    theirs.train()(torch.rand(4, 3, 299, 299))  # running statistics that aren't those it begins with
    theirs.eval()
    torch.save({wrapper + key: value for key, value in theirs.state_dict().items()}, tmp_path / "net.pth")
    with torch.inference_mode():
        outputs = theirs(crops)
        for fake in (0, 1):
            found = read_encoder(tmp_path / "net.pth", "xception", fake_output=fake)(crops).fake_logit
            torch.testing.assert_close(found, outputs[:, fake] - outputs[:, 1 - fake], rtol=1e-4, atol=1e-5)


def program(*parts: bytes | str) -> bytes:
    """A pickle of instructions and texts."""
    written = (b"X" + len(p).to_bytes(4, "little") + p.encode() if isinstance(p, str) else p for p in parts)
    return b"\x80\x02" + b"".join(written) + b"."


def tensor_of(size: bytes) -> bytes:
    storage = (b"(", "storage", b"ctorch\nFloatStorage\n", "0", "cpu", b"K\x02tQ")
    made = (b"}", "a", b"ctorch._utils\n_rebuild_tensor_v2\n(", *storage, b"K\x00", size, b"K\x01\x85\x89}tRs")
    return program(*made)


@pytest.mark.parametrize(
    "data",
    [
        tensor_of(b"J\xff\xff\xff\xffK\x00\x86"),  # sides of -1 and 0
        tensor_of(b"\x88\x85"),  # a side of True
        tensor_of(b"K\x01" * 20 + b"t"),
        program(b"}", b"N" + b"\x85" * 5000, b"Ns"),  # a name that is a tuple in a tuple in a tuple ...
        program(b"(", "storage", b"ctorch\nFloatStorage\n" + b"N" + b"\x85" * 5000, "cpu", b"K\x02tQ"),
        program(b"t"),
        program(b"N" * 200_000, b"(t" * 200_000),
    ],
)
def test_hostile_programs_are_refused_at_once(data: bytes, tmp_path: Path) -> None:
    saved(tmp_path / "net.pth", {"a": torch.ones(2)})
    content = rezipped(tmp_path / "net.pth", lambda name, old: data if name.endswith("data.pkl") else old)
    with pytest.raises(WeightsError):
        read_torch(content, "net.pth")


def test_a_good_program_by_hand_is_read(tmp_path: Path) -> None:
    saved(tmp_path / "net.pth", {"a": torch.ones(2)})
    data = tensor_of(b"K\x02\x85")
    content = rezipped(tmp_path / "net.pth", lambda name, old: data if name.endswith("data.pkl") else old)
    assert torch.equal(read_torch(content, "net.pth")["a"], torch.ones(2))


def test_what_does_not_fit_is_named(tmp_path: Path) -> None:
    path = tmp_path / "net.pth"
    torch.save(ENCODERS["meso4"]().state_dict(), path)
    with pytest.raises(WeightsError, match="doesn't hold this network's state dict"):
        read_encoder(path, "xception")
    with pytest.raises(InputError, match="one output"):
        read_encoder(path, "meso4", fake_output=0)
    with pytest.raises(InputError, match="0 or 1, got 2"):
        read_encoder(path, "meso4", fake_output=2)


def test_a_torch_file_becomes_a_set_that_judges(tmp_path: Path) -> None:
    torch.save(ENCODERS["meso4"]().state_dict(), tmp_path / "net.pt")
    entry = import_weights(tmp_path / "net.pt", architecture="meso4", name="mine", out=tmp_path / "sets")
    assert {file.suffix for file in entry.folder.iterdir()} == {".safetensors", ".json", ".md"}
    assert vidguard.load(str(entry.folder)) is not None
