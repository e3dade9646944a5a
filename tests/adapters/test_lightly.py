# Copyright (c) OpenMMLab. All rights reserved.
"""Maskers in lightly's masked ViT."""
import pytest
import torch
from adapters_in_small import GRID, images, lightly_vit

from sbam_mm.adapters.lightly import TokenIndices
from sbam_mm.masking import AMT, SBAM, SBM, RandomMasker

pytest.importorskip('lightly')
pytestmark = pytest.mark.unit


def test_indices_are_a_partition():
    vit = lightly_vit()
    masks = TokenIndices(SBM(noise=0.))
    idx_keep, idx_mask, mask = masks(vit, images())
    both = torch.cat([idx_keep, idx_mask], dim=1).sort(dim=1).values
    assert torch.equal(both, torch.arange(65).expand(3, -1))
    assert torch.equal(idx_keep[:, 0], torch.zeros(3, dtype=torch.long))
    assert torch.equal(mask, ~torch.zeros(3, 65, dtype=torch.bool).scatter(
        1, idx_keep, True))
    # By tokens with positions, as lightly makes them.
    tokens = vit.preprocess(images())[:, 1:]
    assert torch.equal(SBM(noise=0.)(tokens, GRID).masked, mask[:, 1:])


def test_kept_tokens_are_encoded():
    vit = lightly_vit(reg_tokens=2)
    masks = TokenIndices(RandomMasker())
    idx_keep, idx_mask, _ = masks(vit, images())
    assert idx_keep.shape == (3, 3 + 16) and idx_mask.shape == (3, 48)
    assert idx_keep[:, :3].tolist() == [[0, 1, 2]] * 3
    out = vit.encode(images(), idx_keep=idx_keep)
    assert out.shape == (3, 19, 24)
    # Patches that are not kept play no part.
    hidden = masks.mask.masked.view(3, 8, 1, 8, 1).expand(3, 8, 4, 8, 4)
    changed = images() + hidden.reshape(3, 1, 32, 32)
    assert torch.equal(vit.encode(changed, idx_keep=idx_keep), out)


def test_a_ratio_per_image_in_place():
    vit = lightly_vit()
    masks = TokenIndices(SBAM(delta_r=.2), in_place=True)
    idx_keep, idx_mask, mask = masks(vit, images())
    assert idx_keep is None and idx_mask is None
    assert not mask[:, 0].any()
    hidden = mask[:, 1:].view(3, 8, 1, 8, 1).expand(3, 8, 4, 8, 4)
    changed = images() + hidden.reshape(3, 1, 32, 32)
    out = vit.encode(images(), mask=mask)
    assert out.shape == (3, 65, 24)
    assert torch.equal(vit.encode(changed, mask=mask), out)


def test_images_that_are_not_square():
    vit = lightly_vit(img_size=(16, 48))
    masks = TokenIndices(RandomMasker())
    grids = []
    masks.masker.register_forward_pre_hook(
        lambda module, args: grids.append(args[0].grid))
    masks(vit, torch.randn(2, 3, 16, 48))
    assert grids == [(4, 12)]


def test_torchvisions_vit():
    torchvision = pytest.importorskip('torchvision')
    from lightly.models.modules import MaskedVisionTransformerTorchvision
    vit = MaskedVisionTransformerTorchvision(
        torchvision.models.VisionTransformer(32, 4, 2, 3, 24, 48))
    idx_keep, _, _ = TokenIndices(SBM())(vit, images())
    assert vit.encode(images(), idx_keep=idx_keep).shape == (3, 17, 24)


def test_thrown_tokens_are_in_neither():
    masks = TokenIndices(AMT(), dict(
        attention_map=lambda context: torch.rand(3, 64)))
    idx_keep, idx_mask, _ = masks(lightly_vit(), images())
    assert (idx_keep.shape[1], idx_mask.shape[1]) == (
        1 + masks.mask.num_visible, int(masks.mask.masked[0].sum()))
    assert idx_keep.shape[1] + idx_mask.shape[1] < 65


def test_what_cannot_be_is_said_at_once():
    with pytest.raises(ValueError, match='set in_place=True and pass `mask`'):
        TokenIndices(SBAM())
