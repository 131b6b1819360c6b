"""Codecs and chains that act on whole clips."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from portraits import PICTURE, POINTS, STRANGER, STRANGER_POINTS, grid_mesh

from vidguard.errors import InputError
from vidguard.forge import CHAINS, Face, h264, hevc, preview_sheet, sample_recipe, send


def moving(count: int, *, height: int = 120, width: int = 160) -> list[np.ndarray]:
    return [np.ascontiguousarray(PICTURE[60 + k : 60 + k + height, 60 : 60 + width]) for k in range(count)]


def error(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.abs(a.astype(int) - b).mean())


@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_hevc_keeps_every_frame_in_order_and_repeats_itself(count: int) -> None:
    clip = moving(count)
    coded = hevc(clip, 22)
    assert len(coded) == count
    for k, frame in enumerate(coded):
        distances = [error(frame, other) for other in clip]
        assert int(np.argmin(distances)) == k
        assert distances[k] < 6
    for frame, again in zip(coded, hevc(clip, 22)):
        np.testing.assert_array_equal(frame, again)


def test_hevc_loses_more_at_a_higher_rate_factor_and_is_another_codec() -> None:
    clip = moving(4)
    loss = [error(hevc(clip, crf)[2], clip[2]) for crf in (15, 30, 45)]
    assert loss[0] < loss[1] < loss[2]
    assert (hevc(clip, 30)[2] != h264(clip, 30)[2]).any()
    with pytest.raises(InputError, match="even"):
        hevc([PICTURE[:, :255]], 23)
    with pytest.raises(InputError, match="16 px"):
        hevc([PICTURE[:8, :8]], 23)


@pytest.mark.parametrize("chain", CHAINS)
def test_a_chain_keeps_count_order_and_content_and_follows_from_its_seed(chain: str) -> None:
    clip = moving(5)
    sent = send(chain, clip, fps=25, rng=np.random.default_rng(1))
    again = send(chain, clip, fps=25, rng=np.random.default_rng(1))
    assert len(sent) == 5
    for frame, twice in zip(sent, again):
        assert (frame.shape, frame.dtype) == (clip[0].shape, np.uint8)  # smaller than any rendition
        np.testing.assert_array_equal(frame, twice)
    small = [cv2.resize(f, (40, 30), interpolation=cv2.INTER_AREA).astype(float) for f in (sent[2], clip[2])]
    assert np.corrcoef(small[0].ravel(), small[1].ravel())[0, 1] > 0.9
    assert error(sent[2], clip[2]) > 1
    assert (send(chain, clip, fps=25, rng=np.random.default_rng(2))[2] != sent[2]).any() == (chain == "re-recorded")


@pytest.mark.parametrize(("chain", "short"), [("messenger", 480), ("social-480p", 480), ("social-hevc", 720)])
def test_a_rendition_is_as_small_as_the_chain_says(chain: str, short: int) -> None:
    large = cv2.resize(PICTURE[:180], (1280, 1000))
    (sent,) = send(chain, [large], fps=25, rng=np.random.default_rng(0))
    assert sent.shape == (short, 2 * round(1280 * short / 1000 / 2), 3)


def test_a_chains_frames_share_bits() -> None:
    """A clip is coded as a clip: its later frames differ from what each alone would become."""
    clip = moving(5)
    sent = send("messenger", clip, fps=25, rng=np.random.default_rng(0))
    alone = [send("messenger", [frame], fps=25, rng=np.random.default_rng(0))[0] for frame in clip]
    assert any((a != b).any() for a, b in zip(sent[1:], alone[1:]))


def test_re_recording_moves_the_picture_and_adds_noise_that_differs_from_frame_to_frame() -> None:
    board = np.zeros((200, 240, 3), np.uint8)
    board[60:140, 80:160] = 220
    sent = send("re-recorded", [board] * 3, fps=25, rng=np.random.default_rng(3))
    bright = sent[1][..., 1] > 110
    # filmed from nearer, the square grows, by less than two insets of 5 %
    assert 80 * 80 * 1.01 < bright.sum() < 80 * 80 * 1.35
    assert error(sent[0], sent[2]) > 0.2


def test_nothing_and_the_unknown() -> None:
    assert send("messenger", [], fps=25, rng=np.random.default_rng(0)) == []
    with pytest.raises(InputError, match="messenger, social-480p"):
        send("fax", moving(1), fps=25, rng=np.random.default_rng(0))


def test_a_preview_shows_the_face_what_was_made_of_it_and_why_not() -> None:
    recipe = replace(sample_recipe(np.random.default_rng(0)), region="face", opacity=1.0)
    face, donor = Face(PICTURE, POINTS, grid_mesh()), Face(STRANGER, STRANGER_POINTS, grid_mesh(1))
    sheet = preview_sheet("portrait", [face], donor, recipe, kind="swap", fps=25)
    lonely = preview_sheet("portrait", [face, face], None, recipe, kind="swap", fps=25)
    cell, label = 208, 22
    assert sheet.shape == (label + 3 * (label + cell), 11 * cell, 3)
    assert lonely.shape == sheet.shape

    def column(picture: np.ndarray, number: int) -> np.ndarray:
        return picture[2 * label : 2 * label + cell, number * cell : (number + 1) * cell]

    np.testing.assert_array_equal(column(lonely, 0), column(sheet, 0))
    np.testing.assert_array_equal(column(lonely, 1), column(sheet, 1))  # a self-blend needs nobody
    assert len(np.unique(column(sheet, 2))) > 100
    assert np.median(column(lonely, 2)) == 48  # grey, with a line of words
    assert (column(lonely, 2) > 200).any()
