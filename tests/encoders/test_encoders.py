"""Encoders: layer shapes and sizes as published, and forward passes against plain numpy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from vidguard.encoders import (
    ENCODERS,
    Amten,
    AmtenNet,
    Meso4,
    MesoInception4,
    fold_batch_norms,
    prepare_crops,
)
from vidguard.errors import InputError


def parameters(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize(
    ("name", "count"),
    [("meso4", 27_977), ("mesoinception4", 28_615), ("amtennet", 2_023_047), ("efficientnet_lite0", 3_372_289)],
)
def test_parameter_counts_are_the_published_ones(name: str, count: int) -> None:
    # EfficientNet-Lite0 has 4,652,008 with its 1,000 classes: 1,281,000 fewer there, 1,281 for the one logit
    assert parameters(ENCODERS[name]()) == count


def shapes_after(model: nn.Module, layers: list[nn.Module], size: int) -> list[tuple[int, ...]]:
    seen: list[tuple[int, ...]] = []
    hooks = [m.register_forward_hook(lambda _m, _i, out: seen.append(tuple(out.shape[1:]))) for m in layers]
    model.eval()(torch.zeros(1, 3, size, size))
    for hook in hooks:
        hook.remove()
    return seen


def test_meso4_layer_shapes() -> None:
    model = Meso4()
    pools = [m for m in model.features if isinstance(m, nn.MaxPool2d)]
    assert shapes_after(model, pools, 256) == [(8, 128, 128), (8, 64, 64), (16, 32, 32), (16, 8, 8)]
    convolutions = [m for m in model.features if isinstance(m, nn.Conv2d)]
    assert [m.kernel_size for m in convolutions] == [(3, 3), (5, 5), (5, 5), (5, 5)]
    assert model.hidden.in_features == 1024
    order = [type(m).__name__ for m in model.features]
    assert order == ["Conv2d", "ReLU", "BatchNorm2d", "MaxPool2d"] * 4
    assert all(bn.eps == 1e-3 for bn in model.modules() if isinstance(bn, nn.BatchNorm2d))


def test_mesoinception_layer_shapes() -> None:
    model = MesoInception4()
    pools = [m for m in model.features if isinstance(m, nn.MaxPool2d)]
    assert shapes_after(model, pools, 256) == [(11, 128, 128), (12, 64, 64), (16, 32, 32), (16, 8, 8)]
    assert model.hidden.in_features == 1024
    assert all(bn.eps == 1e-3 for bn in model.modules() if isinstance(bn, nn.BatchNorm2d))
    dilations = [m.dilation[0] for m in model.features[0].modules() if isinstance(m, nn.Conv2d)]
    assert dilations == [1, 1, 1, 1, 2, 1, 3]


def test_amtennet_layer_shapes() -> None:
    model = AmtenNet()
    assert shapes_after(model, list(model.trunk), 128) == [(24, 64, 64), (48, 31, 31), (64, 14, 14), (128, 7, 7)]
    assert parameters(model.front) == 909
    assert not any(isinstance(m, nn.ReLU) for m in model.front.modules())


def convolve(x: np.ndarray, conv: nn.Conv2d) -> np.ndarray:
    weight, bias = conv.weight.detach().numpy(), conv.bias
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1)))
    out = np.zeros((weight.shape[0], *x.shape[1:]))
    for dy in range(3):
        for dx in range(3):
            window = padded[:, dy : dy + x.shape[1], dx : dx + x.shape[2]]
            out += np.einsum("oc,chw->ohw", weight[:, :, dy, dx], window)
    return out if bias is None else out + bias.detach().numpy()[:, None, None]


def test_amten_traces_equal_a_plain_numpy_reference() -> None:
    torch.manual_seed(0)
    front = Amten()
    image = np.random.default_rng(0).uniform(0, 255, (3, 12, 10))
    trace = convolve(image, front.conv1) - image
    first = np.concatenate([convolve(convolve(trace, front.conv2_1), front.conv2_2), trace])
    expected = np.concatenate([convolve(convolve(first, front.conv3_1), front.conv3_2), first])
    with torch.inference_mode():
        found = front(torch.from_numpy(image).float()[None])[0].numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-2)


@pytest.mark.parametrize("name", ENCODERS)
def test_each_encoder_works_alone_and_batch_size_never_changes_a_score(name: str) -> None:
    torch.manual_seed(0)
    model = ENCODERS[name]().eval()
    crops = torch.randint(0, 256, (3, 3, 90, 70), dtype=torch.uint8)
    with torch.inference_mode():
        together = model(prepare_crops(crops, model.input_size))
        alone = [model(prepare_crops(c[None], model.input_size)) for c in crops]
        none = model(prepare_crops(crops[:0], model.input_size))
    assert together.embedding.shape == (3, model.embedding_dim)
    torch.testing.assert_close(together.fake_logit, torch.cat([a.fake_logit for a in alone]), rtol=1e-4, atol=1e-4)
    assert none.fake_logit.shape == (0,)
    assert none.embedding.shape == (0, model.embedding_dim)


def test_prepare_crops_scales_averages_and_refuses() -> None:
    checker = torch.zeros(1, 3, 64, 64, dtype=torch.uint8)
    checker[:, :, ::2, ::2] = 255
    checker[:, :, 1::2, 1::2] = 255
    reduced = prepare_crops(checker, 16)
    # without an antialiasing filter a checkerboard reduces to black, white or stripes
    torch.testing.assert_close(reduced, torch.full_like(reduced, 0.5), atol=0.02, rtol=0)
    for wrong in (
        torch.zeros(3, 64, 64, dtype=torch.uint8),
        torch.zeros(1, 3, 64, 64),
        torch.zeros(1, 3, 4, 64, dtype=torch.uint8),
    ):
        with pytest.raises(InputError):
            prepare_crops(wrong, 64)


@pytest.mark.parametrize("name", ["efficientnet_lite0", "mobilenet_v2"])
def test_folded_batch_norms_change_no_answer(name: str) -> None:
    torch.manual_seed(0)
    model = ENCODERS[name]().eval()
    norms = [layer for layer in model.modules() if isinstance(layer, nn.BatchNorm2d)]
    for norm in norms:
        nn.init.normal_(norm.running_mean, 0.0, 0.1)
        nn.init.uniform_(norm.running_var, 0.5, 2.0)
        nn.init.uniform_(norm.weight, 0.5, 1.5)
        nn.init.normal_(norm.bias, 0.0, 0.1)
    crops = torch.rand(3, 3, model.input_size, model.input_size)
    with torch.inference_mode():
        before = model(crops)
        fold_batch_norms(model)
        after = model(crops)
    assert norms
    assert not any(isinstance(layer, nn.BatchNorm2d) for layer in model.modules())
    torch.testing.assert_close(after.fake_logit, before.fake_logit, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(after.embedding, before.embedding, rtol=1e-3, atol=1e-5)
