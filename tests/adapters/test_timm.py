# Copyright (c) OpenMMLab. All rights reserved.
"""Maskers in the place of timm's patch dropout."""
import pytest
import torch
from adapters_in_small import GRID, images, timm_vit

timm = pytest.importorskip('timm')

from sbam_mm.adapters.timm import use_masker  # noqa: E402
from sbam_mm.masking import (  # noqa: E402
    AMT,
    SBAM,
    SBM,
    AttMask,
    MaskingContext,
    RandomMasker,
)

pytestmark = pytest.mark.unit
VITS = {
    'vit': {},
    'registers': dict(reg_tokens=4, no_embed_class=True),
    'no class token': dict(class_token=False, global_pool='avg'),
    'any size': dict(dynamic_img_size=True),
    'distilled': dict(name='VisionTransformerDistilled'),
    'eva': dict(name='Eva'),
    'rotary': dict(name='Eva', use_rot_pos_emb=True, use_abs_pos_emb=False),
    'mixed rotary': dict(name='Eva', use_rot_pos_emb=True, rope_type='mixed'),
}


@pytest.mark.parametrize('options', VITS.values(), ids=VITS)
def test_what_is_left_is_what_the_masker_shows(options):
    vit = timm_vit(**options).train()
    dropper = use_masker(vit, SBM(noise=0.))
    out = vit.forward_features(images())
    mask = dropper.mask
    prefix = vit.num_prefix_tokens
    assert out.shape == (3, prefix + 16, 24)
    assert mask.visible.sum(1).tolist() == [16] * 3
    out.sum().backward()
    # The same, by the library's own blocks on the visible tokens of an image.
    vit.eval()
    with torch.no_grad():
        for image, expected, visible in zip(images(), out, mask.visible):
            assert vit.forward_features(image[None]).shape[1] == prefix + 64
            alone = one_image(vit, image, visible)
            torch.testing.assert_close(alone, expected, rtol=1e-4, atol=1e-5)


def one_image(vit, image, visible):
    """Features of the visible tokens of an image."""
    x = vit.patch_embed(image[None])
    x = vit._pos_embed(x)
    rope = None
    keep = torch.cat([torch.ones(vit.num_prefix_tokens, dtype=torch.bool),
                      visible])
    if isinstance(x, tuple):
        x, rope = x
    x = vit.norm_pre(x[:, keep])
    for number, block in enumerate(vit.blocks):
        if rope is None:
            x = block(x)
        elif getattr(vit, 'rope_mixed', False):
            x = block(x, rope=rope[number][:, visible])
        else:
            x = block(x, rope=rope[visible])
    return vit.norm(x)[0]


def test_eval_shows_everything():
    vit = timm_vit().eval()
    plain = vit.forward_features(images())
    dropper = use_masker(vit, SBM())
    assert torch.equal(vit.forward_features(images()), plain)
    dropper.train()
    assert vit.forward_features(images()).shape[1] == 1 + 16


def test_names_of_weights_stay():
    vit = timm_vit(patch_drop_rate=.5)
    names = list(vit.state_dict())
    use_masker(vit, SBM())
    assert list(vit.state_dict()) == names


def test_the_masker_sees_the_images_and_their_grid():
    vit = timm_vit(dynamic_img_size=True).train()
    dropper = use_masker(vit, RandomMasker(.5))
    contexts = []
    dropper.masker.register_forward_pre_hook(
        lambda module, args: contexts.append(args[0]))
    wide = torch.randn(2, 3, 16, 48)
    vit(wide)
    context, = contexts
    assert context.grid == (4, 12) and torch.equal(context.images, wide)


def test_as_many_as_patch_dropout():
    """At its ratio, the same number of tokens goes through the blocks."""
    plain = timm_vit(patch_drop_rate=.6).train()
    ours = timm_vit().train()
    use_masker(ours, RandomMasker(.6))
    assert (ours.forward_features(images()).shape
            == plain.forward_features(images()).shape)


def test_thrown_tokens_are_told_apart():
    vit = timm_vit().train()
    dropper = use_masker(vit, AMT(warm_up_ratio=None), dict(
        attention_map=lambda context: torch.rand(3, 64)))
    kept = vit.forward_features(images()).shape[1] - 1
    mask = dropper.mask
    assert kept == mask.num_visible == 64 - int(
        (mask.masked | mask.thrown)[0].sum())
    assert not (mask.masked & mask.thrown).any()


@pytest.mark.parametrize('make, masker, words', [
    (timm_vit, SBAM(), 'its own number of tokens, but a ViT of timm.*Packed'),
    (lambda: timm.models.ResNet(timm.models.resnet.BasicBlock, [1, 1, 1, 1]),
     SBM(), 'ResNet does not drop patches'),
])
def test_what_cannot_be_is_said_at_once(make, masker, words):
    with pytest.raises(ValueError, match=words):
        use_masker(make(), masker)


def test_position_is_in_the_tokens():
    vit = timm_vit().train()
    dropper = use_masker(vit, SBM(noise=0.))
    vit(images())
    tokens = vit._pos_embed(vit.patch_embed(images()))[:, 1:]
    assert torch.equal(SBM(noise=0.)(tokens, GRID).masked, dropper.mask.masked)


def test_a_provider_is_asked_about_the_batch():
    vit = timm_vit().train()
    questions = []

    def attention(context, *question):
        questions.append(question)
        assert torch.equal(context.images, images())
        return context.images.mean(1).view(3, 8, 4, 8, 4).mean((2, 4)).view(
            3, 1, 64)

    dropper = use_masker(vit, AttMask(
        'high', .5, probability=1., source='self'), dict(attention=attention))
    vit(images())
    assert questions == [(-1, 'cls', True, True)]
    brightness = attention(MaskingContext(
        torch.zeros(3, 64, 1), GRID, images=images()))[:, 0]
    hidden = dropper.mask.masked
    for row in range(3):
        assert brightness[row, hidden[row]].min() >= (
            brightness[row, ~hidden[row]].max())
