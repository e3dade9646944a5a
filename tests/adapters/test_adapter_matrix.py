# Copyright (c) OpenMMLab. All rights reserved.
"""Every masker in every adapter: a step, or the reason why not."""
from functools import partial

import pytest
import torch
from adapters_in_small import (
    GRID,
    answers,
    images,
    lightly_vit,
    presets,
    timm_vit,
    vit_mae,
)

from sbam_mm.adapters import lightly, stable_pretraining

pytestmark = pytest.mark.unit
MASKERS = presets()


def step(loss, model):
    loss.backward()
    assert loss.isfinite()
    assert all(p.grad is None or p.grad.isfinite().all()
               for p in model.parameters())
    assert any(p.grad is not None and p.grad.any()
               for p in model.parameters())


def in_hf(masker, providers):
    model = vit_mae()
    from sbam_mm.adapters.hf import use_masker
    masking = use_masker(model, masker, providers)
    out = model(images())
    assert torch.equal(out.mask, masking.mask.masked.float())
    step(out.loss, model)
    return masking.mask


def in_timm(masker, providers, name='VisionTransformer'):
    vit = timm_vit(name).train()
    from sbam_mm.adapters.timm import use_masker
    dropper = use_masker(vit, masker, providers)
    out = vit.forward_features(images())
    assert out.shape[1] == 1 + int(dropper.mask.visible[0].sum())
    step(out.square().mean(), vit)
    return dropper.mask


def in_eva(masker, providers):
    return in_timm(masker, providers, 'Eva')


def in_lightly(masker, providers):
    vit = lightly_vit()
    masks = lightly.TokenIndices(masker, providers)
    idx_keep, idx_mask, _ = masks(vit, images())
    assert idx_mask.shape[1] == masks.mask.masked[0].sum()
    step(vit.encode(images(), idx_keep=idx_keep).square().mean(), vit)
    return masks.mask


def in_lightly_in_place(masker, providers):
    vit = lightly_vit()
    masks = lightly.TokenIndices(masker, providers, in_place=True)
    mask = masks(vit, images()).mask
    step(vit.encode(images(), mask=mask).square().mean(), vit)
    return masks.mask


def in_stable_pretraining(masker, providers):
    masking = stable_pretraining.PatchMasking(masker, providers)
    tokens = torch.randn(3, 64, 8, requires_grad=True)
    out = masking(tokens, *GRID)
    out.visible.sum().backward()
    # Gradients reach the visible tokens alone.
    assert torch.equal(tokens.grad[..., 0], 1 - out.mask)
    return masking.mask


def packed(masker, providers):
    vit = timm_vit()
    from sbam_mm.adapters.packed import PackedViT
    encoder = PackedViT(vit, masker, providers)
    latent = encoder(images())
    assert len(latent.packed) == 3 + encoder.mask.visible.sum()
    step(latent.packed.square().mean(), vit)
    return encoder.mask


def plain(masker, providers):
    return masker(
        torch.randn(3, 64, 8), GRID, images=images(), providers={
            name: partial(answer, None) for name, answer in providers.items()})


ADAPTERS = [in_hf, in_timm, in_eva, in_lightly, in_lightly_in_place,
            in_stable_pretraining, packed, plain]
UNEQUAL_IS_FINE = (in_lightly_in_place, packed, plain)
THROWN_ARE_PREDICTED = (in_hf, in_stable_pretraining)


def why_not(adapter, masker):
    """What a user is told, or nothing."""
    if adapter not in UNEQUAL_IS_FINE and not masker.uniform:
        return 'its own number of tokens, but .* takes equally many'
    thrown = plain(masker, answers()).thrown is not None
    if adapter in THROWN_ARE_PREDICTED and thrown:
        return 'throws tokens away'
    return None


@pytest.mark.parametrize('name', MASKERS)
@pytest.mark.parametrize('adapter', ADAPTERS, ids=lambda f: f.__name__)
def test_a_step(adapter, name):
    torch.manual_seed(0)
    masker = MASKERS[name]()
    reason = why_not(adapter, masker)
    if reason:
        with pytest.raises(ValueError, match=reason) as error:
            adapter(masker, answers())
        assert '\n' not in str(error.value)
        return
    mask = adapter(masker, answers())
    assert mask.masked.shape == (3, 64)
    assert mask.masked.any() and mask.visible.any()
    assert not (mask.masked & mask.visible).any()
    if masker.uniform:
        assert len(set(mask.visible.sum(1).tolist())) == 1


@pytest.mark.parametrize('name', [
    name for name, make in MASKERS.items() if make().needs])
def test_what_is_missing_is_named(name):
    masker = MASKERS[name]()
    for need in masker.needs:
        known = {key: value for key, value in answers().items()
                 if key != need}
        with pytest.raises(ValueError, match=(
                rf'needs {need!r}.*pass providers=dict\({need}=\.\.\.\)')):
            lightly.TokenIndices(masker, known, in_place=True)


def test_the_matrix_has_both():
    """Most pairs run; maskers of each kind that cannot are among them."""
    reasons = {
        (adapter.__name__, name): why_not(adapter, MASKERS[name]())
        for adapter in ADAPTERS for name in MASKERS
    }
    assert sum(reason is None for reason in reasons.values()) > 130
    assert reasons['in_hf', 'SBAM'] and reasons['in_timm', 'SBAM']
    assert reasons['in_hf', 'AMT'] and not reasons['in_timm', 'AMT']
    assert not any(reasons['packed', name] for name in MASKERS)
