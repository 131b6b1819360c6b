"""CLIP's image tower: the published layers, stages that add up to the whole, and weights out of an ONNX file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from vidguard.encoders import ClipVitB16
from vidguard.encoders.clip_vit import Block
from vidguard.errors import InputError
from vidguard.training.pretrained import load_pretrained, read_clip

onnx = pytest.importorskip("onnx")


@pytest.fixture(scope="module")
def model() -> ClipVitB16:
    torch.manual_seed(0)
    made = ClipVitB16().eval()
    for parameter in (made.class_token, made.positions):
        nn.init.normal_(parameter, 0, 0.1)
    nn.init.normal_(made.scaled.running_mean, 0, 0.1)
    nn.init.uniform_(made.scaled.running_var, 0.5, 2)
    return made


def test_the_trunk_has_the_published_size(model: ClipVitB16) -> None:
    head = sum(p.numel() for p in model.head.parameters())
    assert sum(p.numel() for p in model.parameters()) - head == 85_799_424  # and CLIP's projection, 768 x 512


def test_a_block_is_a_pre_norm_transformer_layer_with_quick_gelu() -> None:
    torch.manual_seed(1)
    block, tokens = Block().eval(), torch.randn(2, 7, 768)
    layer = nn.TransformerEncoderLayer(
        768, 12, 3072, 0.0, lambda x: x * torch.sigmoid(1.702 * x), batch_first=True, norm_first=True
    ).eval()
    pairs = [
        (layer.norm1, block.norm1),
        (layer.norm2, block.norm2),
        (layer.linear1, block.fc1),
        (layer.linear2, block.fc2),
        (layer.self_attn.out_proj, block.out),
    ]
    for theirs, own in pairs:
        theirs.load_state_dict(own.state_dict())
    layer.self_attn.in_proj_weight.data, layer.self_attn.in_proj_bias.data = block.qkv.weight, block.qkv.bias
    torch.testing.assert_close(block(tokens), layer(tokens), rtol=1e-4, atol=1e-5)


@torch.inference_mode()
def test_stages_add_up_to_the_whole_wherever_it_is_cut(model: ClipVitB16) -> None:
    crops = torch.rand(2, 3, 224, 224)
    whole = model(crops)
    for blocks, length in ((0, 197), (3, 197), (4, 199), (7, 201), (12, 10)):
        features = model.lower(crops, blocks)
        assert features.shape == (2, length, 768)
        parts = model.upper(features, blocks)
        torch.testing.assert_close(parts.fake_logit, whole.fake_logit)
        torch.testing.assert_close(parts.embedding, whole.embedding)
    last = model.lower(crops, 12)
    embedding = nn.functional.layer_norm(last[:, 8], (768,), model.norm_out.weight, model.norm_out.bias)
    torch.testing.assert_close(whole.embedding, embedding)


def test_what_is_frozen_gets_no_gradient_and_the_rest_does() -> None:
    torch.manual_seed(2)
    model = ClipVitB16().train()
    model.freeze(10)
    model.upper(model.lower(torch.rand(2, 3, 224, 224), 10), 10).fake_logit.sum().backward()
    learnt = {name for name, p in model.named_parameters() if p.grad is not None}
    assert {name.split(".")[0] for name in learnt} == {"blocks", "head"}
    assert {name.split(".")[1] for name in learnt if name.startswith("blocks")} == {"10", "11"}


def quantised(weight: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """(inputs, outputs) int8 and (outputs,) scales, symmetric."""
    scale = weight.abs().amax(1) / 127
    return (weight / scale[:, None]).round().to(torch.int8).T.numpy(), scale.numpy()


class Tower:
    """An ONNX file as a dynamically quantised export of transformers names it."""

    def __init__(self, model: ClipVitB16) -> None:
        self.tensors, self.nodes = {}, []
        self.expected: dict[str, Tensor] = {}
        """Linear weights that have to be read back, those of queries, keys and values apart."""
        self.plain("embeddings.patch_embedding.weight", model.patches.weight)
        self.plain("embeddings.class_embedding", model.class_token)
        self.plain("embeddings.position_embedding.weight", model.positions)
        self.norm("pre_layrnorm", model.norm_in)
        self.norm("post_layernorm", model.norm_out)
        for number, block in enumerate(model.blocks):
            self.block(f"encoder.layers.{number}", f"blocks.{number}", block)

    def plain(self, name: str, value: Tensor) -> None:
        self.tensors[f"vision_model.{name}"] = value.detach().numpy()

    def norm(self, name: str, norm: nn.LayerNorm) -> None:
        self.plain(f"{name}.weight", norm.weight)
        self.plain(f"{name}.bias", norm.bias)

    def linear(self, layer: str, own: str, weight: Tensor, bias: Tensor) -> None:
        number, (int8, scale) = len(self.nodes), quantised(weight.detach())
        names = [f"onnx::MatMul_{number}_{part}" for part in ("quantized", "scale", "zero_point")]
        self.tensors |= zip(names, (np.ascontiguousarray(int8), scale, np.zeros(len(scale), np.int8)))
        self.plain(f"{layer}.bias", bias)
        path = layer.replace("encoder.", "encoder/").replace(".self_attn.", "/self_attn/").replace(".mlp.", "/mlp/")
        inputs, name = ["x", names[0], "x_zero", names[2]], f"/vision_model/{path}/MatMul_quant"
        self.nodes.append(onnx.helper.make_node("MatMulInteger", inputs, [f"y{number}"], name=name))
        self.expected[own] = torch.from_numpy(int8.T.astype(np.float32) * scale[:, None])

    def block(self, layer: str, own: str, block: Block) -> None:
        for k, name in enumerate("qkv"):
            rows = slice(768 * k, 768 * (k + 1))
            weight, bias = block.qkv.weight[rows], block.qkv.bias[rows]
            self.linear(f"{layer}.self_attn.{name}_proj", f"{own}.qkv.{k}", weight, bias)
        for part, theirs in ((block.out, "self_attn.out_proj"), (block.fc1, "mlp.fc1"), (block.fc2, "mlp.fc2")):
            name = theirs.rpartition(".")[2].removesuffix("_proj")
            self.linear(f"{layer}.{theirs}", f"{own}.{name}.weight", part.weight, part.bias)
        self.norm(f"{layer}.layer_norm1", block.norm1)
        self.norm(f"{layer}.layer_norm2", block.norm2)

    def save(self, path: Path) -> None:
        tensors = [onnx.numpy_helper.from_array(value, name) for name, value in self.tensors.items()]
        onnx.save(onnx.helper.make_model(onnx.helper.make_graph(self.nodes, "tower", [], [], tensors)), str(path))


def test_a_quantised_file_is_read_as_its_integers_say(
    model: ClipVitB16, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "package_of_clip"
    (package / "models").mkdir(parents=True)
    (package / "__init__.py").touch()
    tower = Tower(model)
    tower.save(package / "models" / "tower.onnx")
    expected = tower.expected
    monkeypatch.syspath_prepend(tmp_path)
    loaded = ClipVitB16()
    head = loaded.head.weight.detach().clone()
    load_pretrained(loaded, package.name)
    state = loaded.state_dict()
    for number in range(12):
        rows = torch.cat([expected.pop(f"blocks.{number}.qkv.{k}") for k in range(3)])
        torch.testing.assert_close(state[f"blocks.{number}.qkv.weight"], rows)
    for name, value in expected.items():
        torch.testing.assert_close(state[name], value)
    exact = [name for name in model.state_dict() if not name.startswith(("head", "scaled")) and name not in expected]
    for name in exact:
        if not name.endswith("qkv.weight"):
            assert torch.equal(state[name], model.state_dict()[name]), name
    assert torch.equal(loaded.head.weight, head)


def test_a_file_that_lacks_a_tensor_is_refused_by_its_name(model: ClipVitB16, tmp_path: Path) -> None:
    tower = Tower(model)
    del tower.tensors["vision_model.encoder.layers.7.mlp.fc1.bias"]
    tower.save(tmp_path / "tower.onnx")
    with pytest.raises(InputError, match=r"tower\.onnx has no encoder\.layers\.7\.mlp\.fc1\.bias"):
        read_clip(tmp_path / "tower.onnx")
