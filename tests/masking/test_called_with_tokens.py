# Copyright (c) OpenMMLab. All rights reserved.
"""``masker(tokens, grid)`` is ``masker(MaskingContext(tokens, grid))``."""
import pytest
import torch

from sbam_mm.masking import (
    AMT,
    GPA,
    SBAM,
    SBM,
    MaskingContext,
    MaskSomeViews,
    RandomRatioMasker,
)

pytestmark = pytest.mark.unit
TOKENS, GRID = torch.rand(3, 64, 8), (8, 8)
RECEIVED = torch.rand(3, 12, 64)
KNOWN = dict(
    images=torch.rand(3, 3, 32, 32), progress=.3, epoch=7, providers=dict(
        teacher_attention=lambda *question: RECEIVED,
        attention_map=lambda: RECEIVED[:, 0]))


@pytest.mark.parametrize('masker', [
    SBM(), SBAM(), SBAM(scope='batch'), GPA(), AMT(), RandomRatioMasker(),
    SBM(start_epoch=8), MaskSomeViews(SBM())], ids=str)
def test_the_same_mask(masker):
    torch.manual_seed(0)
    expected = masker(MaskingContext(TOKENS, GRID, **KNOWN))
    torch.manual_seed(0)
    mask = masker(TOKENS, GRID, **KNOWN)
    assert torch.equal(mask.masked, expected.masked)
    assert torch.equal(mask.visible, expected.visible)
    assert mask.num_visible == expected.num_visible


def test_arguments_of_the_masker_itself():
    noise = torch.rand(3, 64)
    expected = SBM()(MaskingContext(TOKENS, GRID), noise).masked
    assert torch.equal(SBM()(TOKENS, grid=GRID, noise=noise).masked, expected)
    mask = MaskSomeViews(SBM())(
        TOKENS, GRID, image_draws=torch.tensor([.1, .9, .4]))
    assert mask.masked.any(1).tolist() == [True, False, True]


def test_what_is_wrong_is_said():
    with pytest.raises(ValueError, match='pass the patch tokens without'):
        SBAM()(torch.rand(1, 65, 8), GRID)
    with pytest.raises(TypeError, match='grid'):
        SBAM()(TOKENS)
    with pytest.raises(KeyError, match="asks for 'attention_map'"):
        AMT()(TOKENS, GRID)


def test_ids_keep():
    mask = SBM()(TOKENS, GRID)
    kept = torch.zeros(3, 64, dtype=torch.bool).scatter(1, mask.ids_keep, True)
    assert torch.equal(kept, mask.visible)
    assert (mask.ids_keep.diff(dim=1) > 0).all()
    with pytest.raises(ValueError, match='or a masker with one ratio per'):
        SBAM()(TOKENS, GRID).ids_keep  # noqa: B018
