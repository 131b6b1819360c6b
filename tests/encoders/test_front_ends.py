"""Front ends against plain numpy, and what each must keep whatever training does."""

from __future__ import annotations

import numpy as np
import torch

from vidguard.encoders import AmtenNet, AmtenNetConstrained, MislNet
from vidguard.encoders.front_ends import ConstrainedConv, HighPass, Srm, extract

SRM_KERNELS = [
    np.array([[0, 0, 0, 0, 0], [0, -1, 2, -1, 0], [0, 2, -4, 2, 0], [0, -1, 2, -1, 0], [0, 0, 0, 0, 0]]) / 4,
    np.array([[-1, 2, -2, 2, -1], [2, -6, 8, -6, 2], [-2, 8, -12, 8, -2], [2, -6, 8, -6, 2], [-1, 2, -2, 2, -1]]) / 12,
    np.array([[0] * 5, [0] * 5, [0, 1, -2, 1, 0], [0] * 5, [0] * 5]) / 2,
]


def correlate(image: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """One map by one kernel, pixel by pixel, nothing around it."""
    size = len(kernel)
    rows, columns = (n - size + 1 for n in image.shape)
    patches = [[image[y : y + size, x : x + size] for x in range(columns)] for y in range(rows)]
    return np.array([[(patch * kernel).sum() for patch in row] for row in patches])


def picture(contrast: float = 255.0) -> np.ndarray:
    return np.random.default_rng(0).uniform(0, contrast, (3, 11, 13))


def run(front: torch.nn.Module, image: np.ndarray) -> np.ndarray:
    with torch.inference_mode():
        return front(torch.from_numpy(image).float()[None])[0].numpy()


def test_srm_is_three_kernels_summed_over_colours_and_cut_off() -> None:
    image = picture(contrast=2.0)  # little enough that not all is cut off
    padded = np.pad(image, ((0, 0), (2, 2), (2, 2)))
    expected = np.array([sum(correlate(channel, kernel) for channel in padded) for kernel in SRM_KERNELS])
    assert 0.2 < (np.abs(expected) < 3).mean() < 1.0
    np.testing.assert_allclose(run(Srm(), image), expected.clip(-3, 3), atol=1e-5)


def test_high_pass_is_each_colours_second_difference_and_nothing_where_a_picture_is_flat() -> None:
    image = picture()
    padded = np.pad(image, ((0, 0), (1, 1), (1, 1)))
    expected = np.array([correlate(channel, SRM_KERNELS[0][1:4, 1:4]) for channel in padded])
    np.testing.assert_allclose(run(HighPass(), image), expected, atol=1e-3)
    flat = run(HighPass(), np.full((3, 9, 9), 200.0))
    assert np.argwhere(flat[0]).tolist() == [[0, 0], [0, 8], [8, 0], [8, 8]]


def test_fixed_front_ends_have_nothing_to_learn_and_nothing_to_store() -> None:
    for front in (Srm(), HighPass()):
        assert not list(front.parameters())
        assert not front.state_dict()


def test_constrained_convolution_predicts_a_pixel_by_its_neighbours() -> None:
    torch.manual_seed(0)
    front = ConstrainedConv()
    raw = front.weight.detach().double().numpy().copy()
    raw[..., 2, 2] = 0
    kernel = raw / raw.sum((2, 3), keepdims=True)
    kernel[..., 2, 2] = -1
    image = picture()
    expected = [sum(correlate(image[c], kernel[f, c]) for c in range(3)) for f in range(3)]
    np.testing.assert_allclose(run(front, image), expected, rtol=1e-4, atol=1e-2)
    assert np.abs(run(front, np.full((3, 9, 9), 200.0))).max() < 1e-2  # what is flat is predicted without error


def off_constraint(front: ConstrainedConv) -> float:
    kernel = front.kernel().detach().double()
    assert (kernel[..., 2, 2] == -1).all()
    return float((kernel.sum((2, 3)) + 1 - 1).abs().max())  # the others sum to 1, the whole to 0


def test_the_constraint_holds_before_and_after_any_step_and_the_kernel_learns() -> None:
    torch.manual_seed(0)
    model = MislNet()
    optimizer = torch.optim.AdamW(model.parameters(), 1e-2, weight_decay=0.1)
    crops, before = torch.rand(2, 3, 256, 256), model.front.kernel().detach()
    for _ in range(2):
        assert off_constraint(model.front) < 1e-5
        optimizer.zero_grad()
        model(crops).fake_logit.sum().backward()
        optimizer.step()
    assert off_constraint(model.front) < 1e-5
    assert (model.front.kernel().detach() - before).abs().max() > 1e-3


def test_weights_that_meet_the_constraint_are_read_unchanged() -> None:
    front = ConstrainedConv()
    published = front.kernel().detach().clone()
    published += 0.1 * torch.randn(3, 3, 5, 1) * torch.tensor([1.0, -1.0, 0.0, 1.0, -1.0])  # mixed signs, sums kept
    with torch.no_grad():
        front.weight.copy_(published)
    torch.testing.assert_close(front.kernel().detach(), published)


def test_residuals_are_taken_in_full_precision_even_where_training_is_not() -> None:
    torch.manual_seed(0)
    crops = torch.rand(1, 3, 32, 32) * 0.01 + 0.8  # bright: bfloat16 knows whole grey levels only
    for front in (AmtenNet().front, AmtenNetConstrained().front, Srm()):
        expected = extract(front, crops)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            found = extract(front, crops)
            rounded = front(crops * 255)
        assert torch.equal(found, expected)
        assert (rounded.float() - expected).abs().max() > 0.1  # what would be lost
