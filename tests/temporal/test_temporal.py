"""The temporal transformer and its windows: padding, time, length, chunking."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vidguard.scoring.windows import HOP_FRAMES, WINDOW_FRAMES, FrameTokens, WindowedJudge
from vidguard.temporal import TemporalTransformer, frame_features

DIMS = {"a": 5, "b": 3}
VALID_7 = torch.ones(1, 7, dtype=torch.bool)


@pytest.fixture(scope="module")
def model() -> TemporalTransformer:
    torch.manual_seed(0)
    return talkative(TemporalTransformer(DIMS, width=16, heads=2, layers=2))


def talkative(model: TemporalTransformer) -> TemporalTransformer:
    """Untrained it would have no say, and the tests none either."""
    for parameter in (model.frame_head.weight, *model.gains()):
        torch.nn.init.normal_(parameter)
    return model.eval()


def track(length: int, seed: int = 0) -> FrameTokens:
    rng = torch.Generator().manual_seed(seed)
    embeddings = {n: torch.randn(length, d, generator=rng) for n, d in DIMS.items()}
    steps = torch.rand(length, generator=rng, dtype=torch.float64) * 0.2 + 0.05
    return FrameTokens(embeddings, torch.randn(length, generator=rng), steps.cumsum(0))


def judge(model: TemporalTransformer, tokens: FrameTokens, padding: int = 0, shift: float = 0.0):
    def pad(x: torch.Tensor) -> torch.Tensor:
        return torch.cat([x, torch.full((padding, *x.shape[1:]), 7.0, dtype=x.dtype)])[None]

    valid = torch.arange(len(tokens) + padding)[None] < len(tokens)
    with torch.inference_mode():
        embeddings = {n: pad(e) for n, e in tokens.embeddings.items()}
        return model(embeddings, pad(tokens.frame_logits), pad(tokens.times + shift), valid)


def test_what_is_read_of_a_frame_is_how_it_and_the_embeddings_move() -> None:
    tokens = track(7)
    read = frame_features({n: e[None] for n, e in tokens.embeddings.items()}, tokens.frame_logits[None], VALID_7)[0]
    logits = tokens.frame_logits.numpy()
    expected = [(logits - logits.mean()) / 2, np.diff(logits, prepend=logits[0]) / 2]
    for name in ("a", "b"):
        unit = tokens.embeddings[name].numpy() / np.linalg.norm(tokens.embeddings[name].numpy(), axis=1, keepdims=True)
        expected.append(np.concatenate([[0.0], 1 - (unit[1:] * unit[:-1]).sum(1)]))
    np.testing.assert_allclose(read.numpy(), np.stack(expected, axis=1), rtol=1e-4, atol=1e-5)


def test_only_which_frames_are_alike_is_read_not_whose_face_it_is(model: TemporalTransformer) -> None:
    tokens = track(12)
    turns = {n: torch.linalg.qr(torch.randn(d, d))[0] for n, d in DIMS.items()}
    turned = FrameTokens(
        {n: -3 * e @ turns[n] for n, e in tokens.embeddings.items()}, tokens.frame_logits, tokens.times
    )
    expected = judge(model, tokens).frame_logits
    torch.testing.assert_close(judge(model, turned).frame_logits, expected, rtol=1e-3, atol=1e-4)
    mixed = FrameTokens({n: e.flip(0) for n, e in tokens.embeddings.items()}, tokens.frame_logits, tokens.times)
    assert (judge(model, mixed).frame_logits - expected).abs().max() > 1e-2


def test_a_logit_leans_to_frames_alike_and_away_from_the_windows_mean() -> None:
    model, tokens = talkative(TemporalTransformer(DIMS, width=16, heads=2, layers=0)), track(9)
    with torch.no_grad():
        model.frame_head.weight.zero_()
    logits, times = tokens.frame_logits.numpy().astype(float), tokens.times.numpy()
    bias = -model.ties.pace.item() * np.abs(times[:, None] - times)
    for like, name in zip(model.ties.like[0].tolist(), ("a", "b")):
        apart = tokens.embeddings[name].numpy().astype(float)
        apart = apart - apart.mean(0)
        unit = apart / np.linalg.norm(apart, axis=1, keepdims=True)
        bias = bias + like * unit @ unit.T
    weights = np.exp(bias) / np.exp(bias).sum(1, keepdims=True)
    peers = weights @ logits
    expected = logits + model.lean.item() * (peers - logits) + model.contrast.item() * (peers - logits.mean())
    np.testing.assert_allclose(judge(model, tokens).frame_logits[0].numpy(), expected, rtol=1e-3, atol=1e-4)


def test_what_the_blocks_tell_has_no_mean_over_the_window(model: TemporalTransformer) -> None:
    bare, tokens = talkative(TemporalTransformer(DIMS, width=16, heads=2, layers=2)), track(12)
    with torch.no_grad():
        bare.lean.zero_()
        bare.contrast.zero_()
    told = judge(bare, tokens).frame_logits[0] - tokens.frame_logits
    assert told.abs().max() > 1e-2
    assert abs(float(told.mean())) < 1e-5


@pytest.mark.parametrize(("emphasis", "expected"), [(0.0, torch.mean), (1e4, torch.max)])
def test_a_window_is_judged_between_its_frames_mean_and_their_maximum(emphasis: float, expected) -> None:
    model = talkative(TemporalTransformer(DIMS, width=16, heads=2, layers=1))
    torch.nn.init.constant_(model.emphasis, emphasis)
    output = judge(model, track(12), padding=3)
    torch.testing.assert_close(output.window_logits[0], expected(output.frame_logits[0, :12]), rtol=1e-3, atol=1e-4)


def test_a_lone_frame_is_left_to_the_encoders(model: TemporalTransformer) -> None:
    tokens = track(1)
    torch.testing.assert_close(judge(model, tokens).frame_logits[0], tokens.frame_logits)


@pytest.mark.parametrize("length", [1, 2, 31])
def test_padding_changes_nothing(model: TemporalTransformer, length: int) -> None:
    tokens = track(length)
    bare, padded = judge(model, tokens), judge(model, tokens, padding=9)
    torch.testing.assert_close(padded.frame_logits[:, :length], bare.frame_logits, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(padded.window_logits, bare.window_logits, rtol=1e-4, atol=1e-5)
    assert (padded.frame_logits[:, length:] == 0).all()


def test_the_origin_of_time_changes_nothing_but_its_pace_does(model: TemporalTransformer) -> None:
    tokens = track(12)
    base = judge(model, tokens)
    torch.testing.assert_close(judge(model, tokens, shift=5000.0).frame_logits, base.frame_logits, rtol=1e-3, atol=1e-4)
    slow = FrameTokens(tokens.embeddings, tokens.frame_logits, tokens.times * 3)
    assert (judge(model, slow).frame_logits - base.frame_logits).abs().max() > 1e-3


def test_order_matters(model: TemporalTransformer) -> None:
    tokens = track(12)
    order = torch.arange(11, -1, -1)
    turned = FrameTokens({n: e[order] for n, e in tokens.embeddings.items()}, tokens.frame_logits[order], tokens.times)
    difference = judge(model, turned).window_logits - judge(model, tokens).window_logits
    assert difference.abs().max() > 1e-4


def test_an_untrained_transformer_passes_the_encoders_logits_through() -> None:
    tokens = track(9)
    torch.testing.assert_close(judge(TemporalTransformer(DIMS).eval(), tokens).frame_logits[0], tokens.frame_logits)


def run(model: TemporalTransformer, tokens: FrameTokens, cuts: list[int]) -> list[float]:
    with torch.inference_mode():
        windows = WindowedJudge(model)
        edges = [0, *sorted(cuts), len(tokens)]
        found: list[float] = []
        for start, stop in itertools.pairwise(edges):
            found += windows.push(tokens[start:stop])
        return found + windows.finish()


@settings(deadline=None, max_examples=25)
@given(length=st.integers(1, 150), cuts=st.lists(st.integers(0, 150), max_size=6))
def test_any_chunking_gives_the_same_answer(model: TemporalTransformer, length: int, cuts: list[int]) -> None:
    tokens = track(length, seed=length)
    whole = run(model, tokens, [])
    assert len(whole) == length
    assert run(model, tokens, [c for c in cuts if c <= length]) == whole


@pytest.mark.parametrize("length", [1, WINDOW_FRAMES, WINDOW_FRAMES + 1, 3 * WINDOW_FRAMES + 5])
def test_a_frames_logit_is_the_mean_of_the_windows_that_cover_it(model: TemporalTransformer, length: int) -> None:
    tokens = track(length)
    sums, counts = torch.zeros(length), torch.zeros(length)
    start = 0
    while True:
        stop = min(start + WINDOW_FRAMES, length)
        sums[start:stop] += judge(model, tokens[start:stop]).frame_logits[0]
        counts[start:stop] += 1
        if stop == length:
            break
        start += HOP_FRAMES
    torch.testing.assert_close(torch.tensor(run(model, tokens, [])), sums / counts, rtol=1e-4, atol=1e-5)
