# Copyright (c) OpenMMLab. All rights reserved.
"""Maskers as stable-pretraining's masking."""
import pytest
import torch
from adapters_in_small import GRID, images, timm_vit

from sbam_mm.adapters.stable_pretraining import PatchMasking
from sbam_mm.masking import AMT, SBAM, SBM, RandomMasker

pytestmark = pytest.mark.unit


def test_what_it_returns():
    tokens = torch.randn(3, 64, 8)
    masking = PatchMasking(SBM(noise=0.))
    out = masking(tokens, *GRID)
    expected = SBM(noise=0.)(tokens, GRID)
    assert torch.equal(out.mask, expected.masked.float())
    assert torch.equal(out.visible.flatten(0, 1), tokens[expected.visible])
    restored = torch.cat([out.visible, torch.zeros(3, 48, 8)], 1).gather(
        1, out.ids_restore[..., None].expand(-1, -1, 8))
    assert torch.equal(restored, tokens * expected.visible[..., None])


def test_all_is_visible_in_evaluation():
    tokens = torch.randn(3, 64, 8)
    out = PatchMasking(SBM()).eval()(tokens, *GRID)
    assert torch.equal(out.visible, tokens) and not out.mask.any()
    assert torch.equal(out.ids_keep, torch.arange(64).expand(3, -1))


def test_what_cannot_be_is_said():
    with pytest.raises(ValueError, match="but stable-pretraining's Masked"):
        PatchMasking(SBAM())
    masking = PatchMasking(AMT(), dict(
        attention_map=lambda context: torch.rand(3, 64)))
    with pytest.raises(ValueError, match='AMT throws tokens away'):
        masking(torch.randn(3, 64, 8), *GRID)


def test_as_the_librarys_own():
    """The same fields, types and shapes."""
    backbone = pytest.importorskip('stable_pretraining.backbone')
    tokens = torch.randn(3, 64, 8)
    ours = PatchMasking(RandomMasker())(tokens, *GRID)
    theirs = backbone.PatchMasking()(tokens, *GRID)
    for name in theirs.keys():
        mine = getattr(ours, name)
        assert (mine.shape, mine.dtype) == (
            theirs[name].shape, theirs[name].dtype)


def test_mae():
    """The library's MAE learns from our masks."""
    methods = pytest.importorskip('stable_pretraining.methods')
    masking = PatchMasking(SBAM(scope='batch'))
    model = methods.MAE(
        timm_vit(), masking=masking, decoder_embed_dim=24, decoder_depth=1,
        decoder_num_heads=2).train()
    out = model(images())
    assert torch.equal(out.mask, masking.mask.masked.float())
    assert out.num_visible == masking.mask.num_visible
    out.loss.backward()
    assert all(p.grad.any() for p in model.encoder.vit.blocks.parameters())
