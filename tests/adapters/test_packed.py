# Copyright (c) OpenMMLab. All rights reserved.
"""A timm ViT with a ratio per image equals a loop over single images."""
import copy

import pytest
import torch
from adapters_in_small import answers, images, timm_vit

timm = pytest.importorskip('timm')

from sbam_mm.adapters import packed  # noqa: E402
from sbam_mm.adapters.packed import PackedViT  # noqa: E402
from sbam_mm.adapters.timm import use_masker  # noqa: E402
from sbam_mm.masking import (  # noqa: E402
    AMT,
    SBAM,
    SBM,
    MaskSomeViews,
    RandomRatioMasker,
    TokenMask,
)
from sbam_mm.packed import packed_attention  # noqa: E402

pytestmark = pytest.mark.unit
VITS = {
    'vit': {},
    'everything': dict(
        reg_tokens=4, no_embed_class=True, init_values=.3, qk_norm=True,
        scale_attn_norm=True, pre_norm=True, qkv_bias=False,
        mlp_layer='SwiGLU'),
    'no class token': dict(class_token=False, global_pool='avg'),
    'gated': dict(gated=True),
}


def make(mlp_layer=None, gated=False, **options):
    if mlp_layer:
        options['mlp_layer'] = getattr(timm.layers, mlp_layer)
    vit = timm_vit(**options)
    if gated:
        for block in vit.blocks:
            block.attn.gate = torch.nn.Linear(24, 24)
    return vit


def alone(vit, image, visible):
    """The visible tokens of one image, by the library's own forward pass."""
    keep = torch.nn.functional.pad(
        visible, (vit.num_prefix_tokens, 0), value=True)
    x = vit._pos_embed(vit.patch_embed(image[None]))[:, keep]
    return vit.norm(vit.blocks(vit.norm_pre(x)))[0]


@pytest.mark.parametrize('options', VITS.values(), ids=VITS)
def test_as_a_loop(options):
    """In values and gradients."""
    vit = make(**options)
    encoder = PackedViT(vit, RandomRatioMasker(delta_r=.2))
    latent = encoder(images(4))
    visible = encoder.mask.visible
    assert len(set(visible.sum(1).tolist())) > 1
    prefix = vit.num_prefix_tokens
    assert len(latent.packed) == 4 * prefix + visible.sum()
    dense = latent.to_dense()
    assert dense.shape == (4, prefix + 64, 24)
    target = torch.randn_like(dense)
    (dense * target).sum().backward()

    other = copy.deepcopy(vit)
    other.zero_grad()
    for row, image in enumerate(images(4)):
        expected = alone(other, image, visible[row])
        keep = torch.nn.functional.pad(visible[row], (prefix, 0), value=True)
        torch.testing.assert_close(
            dense[row, keep], expected, rtol=1e-4, atol=1e-5)
        assert not dense[row, ~keep].any()
        (expected * target[row, keep]).sum().backward()
    for (name, ours), theirs in zip(vit.named_parameters(),
                                    other.parameters()):
        torch.testing.assert_close(
            ours.grad, theirs.grad, rtol=1e-3, atol=1e-4, msg=name)


def test_with_equal_counts_as_the_dropper():
    vit = timm_vit()
    masker = SBM(noise=0.)
    encoder = PackedViT(vit, masker)
    ours = encoder(images()).packed
    dropper = use_masker(vit.train(), masker)
    dense = vit.forward_features(images())
    assert torch.equal(dropper.mask.masked, encoder.mask.masked)
    torch.testing.assert_close(
        ours.view_as(dense), dense, rtol=1e-4, atol=1e-5)


def test_a_mask_that_hides_nothing_is_the_model_itself():
    vit = timm_vit().eval()
    encoder = PackedViT(vit, SBM())
    encoder.masker.forward = lambda context: TokenMask(
        torch.zeros(3, 64, dtype=torch.bool), num_visible=64)
    torch.testing.assert_close(
        encoder(images()).to_dense(), vit.forward_features(images()),
        rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('options', VITS.values(), ids=VITS)
def test_half_precision(options, monkeypatch):
    """Queries, keys and values have one type, as CUDA's kernel wants them."""
    kinds = []

    def attention(q, k, v, *rest):
        kinds.append({q.dtype, k.dtype, v.dtype})
        return packed_attention(q, k, v, *rest)

    monkeypatch.setattr(packed, 'packed_attention', attention)
    encoder = PackedViT(make(**options), SBAM(noise=0.))
    expected = encoder(images()).packed
    with torch.autocast('cpu', torch.bfloat16):
        out = encoder(images()).packed
    assert kinds == 2 * [{torch.float32}] + 2 * [{torch.bfloat16}]
    assert (out - expected).abs().mean() < .05


def test_checkpointed_blocks():
    vit = timm_vit()
    encoder = PackedViT(vit, SBAM(noise=0.))
    encoder(images()).packed.square().sum().backward()
    expected = [p.grad.clone() for p in vit.parameters()]
    vit.zero_grad()
    vit.set_grad_checkpointing()
    encoder(images()).packed.square().sum().backward()
    torch.testing.assert_close([p.grad for p in vit.parameters()], expected)


@pytest.mark.parametrize('masker', [
    AMT(), MaskSomeViews(SBM()), SBAM(scope='batch')], ids=str)
def test_what_is_hidden_stays_out(masker):
    """Other pixels there change nothing, as the masker ignores them, too."""
    vit = timm_vit()
    encoder = PackedViT(vit, masker, answers())
    encoder(images())
    mask = encoder.mask
    encoder.masker.forward = lambda context: mask
    hidden = (~mask.visible).view(3, 8, 1, 8, 1).expand(3, 8, 4, 8, 4)
    hidden = hidden.reshape(3, 1, 32, 32)
    first = encoder(images()).packed
    second = encoder(images() + 5. * hidden).packed
    assert torch.equal(first, second)


@pytest.mark.parametrize('options, words', [
    (dict(drop_path_rate=.1), 'make the ViT with drop_path_rate=0'),
    (dict(name='Eva'), 'the blocks of this Eva are not the plain ones'),
    (dict(block_fn='ResPostBlock', init_values=.1), 'not the plain ones'),
])
def test_what_cannot_be_is_said_at_once(options, words):
    if 'block_fn' in options:
        options = dict(options, block_fn=getattr(
            timm.models.vision_transformer, options['block_fn']))
    with pytest.raises(ValueError, match=words):
        PackedViT(timm_vit(**options), SBAM())
