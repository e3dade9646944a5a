# Copyright (c) OpenMMLab. All rights reserved.
"""A ViT of another library answers maskers that ask a teacher."""
import pytest
import torch
from adapters_in_small import DEPTH, GRID, HEADS, images, timm_vit, vit_mae
from torch import nn

from sbam_mm.adapters.attention import AttentionOf
from sbam_mm.masking import GPA, AttMask, MaskingContext

pytestmark = pytest.mark.unit
TOKENS = torch.zeros(3, 64, 4)


def hf_maps(vit, pictures):
    """All blocks' attention as transformers computes it, (B, heads, N, N)."""
    vit.set_attn_implementation('eager')
    with torch.no_grad():
        return vit(pictures, noise=torch.arange(64.).expand(3, -1),
                   output_attentions=True).attentions


def test_of_transformers():
    """To 1e-5, of every patch, though the model would mask most of them."""
    vit = vit_mae().vit.eval()
    for weight in vit.parameters():  # the class token's are zeros
        nn.init.normal_(weight, std=.3)
    provider = AttentionOf(vit)
    context = MaskingContext(TOKENS, GRID, images=images())
    got = [provider(context, block) for block in range(-DEPTH, 0)]
    for ours, theirs in zip(got, hf_maps(vit, images())):
        assert ours.shape == (3, HEADS, 64)
        assert (ours.std(dim=-1) > 0.05 * ours.mean(dim=-1)).all()
        torch.testing.assert_close(ours, theirs[:, :, 0, 1:], rtol=1e-5,
                                   atol=1e-5)
    assert not any(weight.requires_grad for weight in vit.parameters())


def test_other_patches_and_other_pixels():
    """16 patches by area on a grid of 64, seen as ``prepare`` gives them."""
    vit = timm_vit(patch_size=8)
    context = MaskingContext(TOKENS, GRID, images=images())
    got = AttentionOf(vit, lambda batch: 2 * batch)(context, 0, 'all')
    blown_up = timm_vit(patch_size=8)
    own = AttentionOf(blown_up)(
        MaskingContext(TOKENS[:, :16], (4, 4), images=2 * images()), 0,
        'all')
    # Each of them has a quarter of what its patch of the teacher receives.
    shared = own.unflatten(-1, (4, 4)).repeat_interleave(
        2, dim=-1).repeat_interleave(2, dim=-2).flatten(-2) / 4
    torch.testing.assert_close(got, shared)


@pytest.mark.parametrize('masker', [
    AttMask('high', ratio=0.75, probability=1.), GPA(block=1, head='sum')])
def test_maskers_ask_it(masker):
    teacher = AttentionOf(timm_vit(dynamic_img_size=True))
    asked = []

    def provider(block, *question):
        asked.append(teacher(context, block, *question))
        return asked[-1]

    context = MaskingContext(TOKENS, GRID, images=images(), progress=1.)
    context.providers = dict(teacher_attention=provider)
    torch.manual_seed(0)
    mask = masker(context)
    assert mask.masked.sum(1).tolist() == [48] * 3
    received = asked[0].sum(1)
    assert (received[mask.masked].mean() > received[~mask.masked].mean())


def test_what_is_refused():
    context = MaskingContext(TOKENS, GRID, images=images())
    with pytest.raises(ValueError, match='no Vision Transformer of timm'):
        AttentionOf(nn.Linear(2, 2))
    with pytest.raises(ValueError, match='blocks 0 to 1'):
        AttentionOf(timm_vit())(context, 2)
    with pytest.raises(ValueError, match="queries='all'"):
        AttentionOf(timm_vit(class_token=False, global_pool='avg'))(
            context, 0)
    with pytest.raises(ValueError, match='passes no images'):
        AttentionOf(timm_vit())(MaskingContext(TOKENS, GRID), 0)
