"""Optimisations of the embedded model do not change its vectors."""

import numpy as np
import timm
import torch
from torch import nn

from bandsight.model.architecture import SideBySide, fold_batch_norm
from bandsight.model.checkpoint import ROW_SCALE, expand_int8
from bandsight.model.loader import load_model
from bandsight.model.patch_embed import SpectralStem


def _trunk() -> nn.Module:
    torch.manual_seed(0)
    trunk = timm.create_model("tf_efficientnet_lite0", num_classes=0)
    trunk.conv_stem = SpectralStem(trunk.conv_stem.weight, trunk.conv_stem.stride[0])
    for part in trunk.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean.uniform_(-0.5, 0.5)
            part.running_var.uniform_(0.5, 2)
            nn.init.uniform_(part.weight, 0.5, 1.5)
            nn.init.uniform_(part.bias, -0.5, 0.5)
    return trunk.eval()


@torch.inference_mode()
def test_folding_batch_norm_keeps_the_output():
    trunk = _trunk()
    images = {bands: torch.rand(2, len(bands), 64, 64) for bands in ((0.66, 0.56, 0.49), (0.84,), (5.405, 5.405))}

    def outputs():
        for bands, image in images.items():
            trunk.conv_stem.use(bands)
            yield trunk(image)

    before = list(outputs())
    fold_batch_norm(trunk)
    assert not any(isinstance(part, nn.BatchNorm2d) for part in trunk.modules())
    for old, new in zip(before, outputs(), strict=True):
        torch.testing.assert_close(old, new, rtol=1e-4, atol=1e-4)


@torch.inference_mode()
def test_features_of_several_trunks_are_concatenated():
    pair = SideBySide([_trunk(), _trunk()])
    fold_batch_norm(pair)
    image = torch.rand(2, 3, 64, 64) * 2 - 1
    for trunk in pair.trunks:
        trunk.conv_stem.use((0.66, 0.56, 0.49))
    assert pair.num_features == 2560
    torch.testing.assert_close(pair(image), torch.cat([trunk(image) for trunk in pair.trunks], dim=1))
    assert pair.forward_features(image).shape == (2, 2560, 2, 2)


def test_dropping_padding_keeps_the_vectors():
    model = load_model("embedded", "cpu")
    texts = ["a lake", "an aerial photo of many houses beside a river with trees on both of its banks"]
    short = model._tokenizer(texts)
    model._tokenizer._trim = False
    full = model._tokenizer(texts)
    assert full.shape[1] == 64
    assert short.shape[1] < 25
    a, b = (model.encode_text(ids, normalize=True).numpy() for ids in (short, full))
    np.testing.assert_allclose(a, b, atol=1e-6)


def test_int8_matrices_are_expanded_with_their_row_factors():
    state = {
        "a.weight": torch.tensor([[1, -2], [127, 0]], dtype=torch.int8),
        f"a.weight{ROW_SCALE}": torch.tensor([[0.5], [0.01]], dtype=torch.float16),
        "a.bias": torch.tensor([1.0, 2.0]),
    }
    found = expand_int8(state)
    assert set(found) == {"a.weight", "a.bias"}
    expected = torch.tensor([[0.5, -1.0], [1.27, 0.0]])
    torch.testing.assert_close(found["a.weight"], expected, rtol=1e-3, atol=0)
