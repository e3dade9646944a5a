# Copyright (c) OpenMMLab. All rights reserved.
"""SemMAE's masks: counts per part, in between and at both ends."""
import pytest
import torch

from sbam_mm.masking import (
    Masker,
    MaskingContext,
    PartwiseSelection,
    RandomRatio,
    SemMAEMasker,
)
from sbam_mm.masking.salience import NoSalience
from sbam_mm.masking.semmae import part_counts, whole_parts

pytestmark = pytest.mark.unit
GRID = (14, 14)


def parts_of(batch_size=5, parts=7, seed=0):
    """Parts of very different sizes, (B, 196) uint8."""
    generator = torch.Generator().manual_seed(seed)
    shares = torch.rand(batch_size, parts, generator=generator)**3 + 1e-3
    return torch.multinomial(
        shares, 196, replacement=True, generator=generator).byte()


def context_of(parts, progress, grid=GRID):
    return MaskingContext(
        torch.zeros(*parts.shape, 4),
        grid,
        progress=progress,
        providers=dict(part_map=lambda: parts))


def masked_per_part(masked, parts):
    """(B, 256)."""
    return torch.zeros(len(parts), 256).scatter_add_(
        1, parts.long(), masked.float()).long()


def sizes_of(parts):
    return masked_per_part(torch.ones_like(parts), parts)


@pytest.mark.parametrize('progress', [0., 0.3, 0.7, 1.])
@pytest.mark.parametrize('ratio', [0.4, 0.75, 0.999])
def test_total_is_exact(progress, ratio):
    parts = parts_of()
    masker = SemMAEMasker(ratio)
    mask = masker(context_of(parts, progress))
    wanted = 196 - max(1, int(196 * (1 - ratio)))
    assert (mask.masked.sum(1) == wanted).all()
    assert masker.uniform and mask.num_visible == 196 - wanted


@pytest.mark.parametrize('progress', [0., 0.4, 0.8, 1.])
def test_counts_per_part(progress):
    """As the formula says, but for what the exact total takes or adds."""
    parts, noise = parts_of(), torch.rand(5, 196)
    draws = torch.rand(5, 256)
    choice = PartwiseSelection()(
        torch.zeros(5, 196), 49, context_of(parts, progress), noise, draws)
    found = masked_per_part(choice.masked, parts)
    sizes = sizes_of(parts)
    for image in range(5):
        order = draws[image].argsort().tolist()
        left, whole = 147, {}
        for part in order:
            whole[part] = min(left, int(sizes[image, part]))
            left -= whole[part]
        share = 1 - progress**2
        formula = torch.tensor([
            round(share * round(int(sizes[image, part]) * 0.75) +
                  (1 - share) * whole[part]) for part in range(256)
        ])
        off = found[image] - formula
        # All corrections go one way, and no more are made than needed.
        assert off.abs().sum() == abs(147 - int(formula.sum()))
        assert (off >= 0).all() or (off <= 0).all()


def test_start_hides_the_same_share_of_every_part():
    parts = parts_of()
    mask = SemMAEMasker()(context_of(parts, 0.))
    sizes = sizes_of(parts)
    off = masked_per_part(mask.masked, parts) - 0.75 * sizes
    assert off.abs().max() <= 4


def test_end_hides_whole_parts():
    """At most one part of an image is hidden in part."""
    parts = parts_of()
    mask = SemMAEMasker()(context_of(parts, 1.))
    found, sizes = masked_per_part(mask.masked, parts), sizes_of(parts)
    assert ((found > 0) & (found < sizes)).sum(1).max() <= 1
    assert (found.sum(1) == 147).all()


def test_every_part_comes_first_as_often():
    """The order of parts does not depend on their sizes."""
    torch.manual_seed(0)
    parts = torch.zeros(600, 10, dtype=torch.uint8)
    parts[:, 8:] = 1
    mask = SemMAEMasker(0.2)(context_of(parts, 1., (2, 5)))
    small_first = masked_per_part(mask.masked, parts)[:, 1] == 2
    assert 240 < small_first.sum() < 360


def test_tokens_of_a_part_are_random():
    torch.manual_seed(0)
    parts = torch.zeros(400, 16, dtype=torch.uint8)
    mask = SemMAEMasker(0.5)(context_of(parts, 0., (4, 4)))
    hidden = mask.masked.float().mean(0)
    assert (hidden > 0.38).all() and (hidden < 0.62).all()


@pytest.mark.parametrize('progress', [0., 0.5, 1.])
@pytest.mark.parametrize('part', [0, 255])
def test_one_part_only_is_random_masking(progress, part):
    parts, noise = torch.full((3, 196), part).byte(), torch.rand(3, 196)
    mask = SemMAEMasker()(context_of(parts, progress), noise)
    for draws, masked in zip(noise, mask.masked):
        assert draws[masked].min() > draws[~masked].max()


@pytest.mark.parametrize('progress', [0., 0.5, 1.])
def test_unequal_counts(progress):
    """AMR and other ratios per image compose with it."""
    masker = Masker(NoSalience(), RandomRatio(0.3, 0.9, 'sample'),
                    PartwiseSelection())
    mask = masker(context_of(parts_of(), progress))
    counts = mask.visible_counts
    assert len(set(counts.tolist())) > 1
    assert not masker.uniform and mask.num_visible is None
    expected = (196 * (1 - mask.ratio.double()) + 1e-4).floor()
    assert (counts - expected).abs().max() <= 1


def test_same_seed_same_mask():
    context = context_of(parts_of(), 0.5)
    masks = []
    for seed in (3, 3, 4):
        torch.manual_seed(seed)
        masks.append(SemMAEMasker()(context).masked)
    assert torch.equal(masks[0], masks[1])
    assert not torch.equal(masks[1], masks[2])


def test_counts_stay_in_their_part():
    sizes = sizes_of(parts_of())
    for share in (0., 0.5, 1.):
        for number in (0, 1, 100, 196):
            total = torch.full((5, 1), number)
            draws = torch.rand(5, 256)
            counts = part_counts(sizes, total, 196, share, draws)
            assert (counts >= 0).all() and (counts <= sizes).all()
            assert (whole_parts(sizes, total, draws).sum(1) == number).all()


def test_needs_a_part_map(tiny_mae):
    assert SemMAEMasker().needs == {'part_map'}
    with pytest.raises(ValueError, match='LoadPartMap'):
        tiny_mae('SemMAEMasker').loss(torch.rand(2, 3, 32, 32))


@pytest.mark.parametrize('parts, words', [
    (None, 'part maps of the images are empty'),
    (torch.zeros(2, 9).byte(), 'set masker.cell=1'),
    (torch.zeros(2, 16), 'save them again as uint8'),
])
def test_bad_maps_get_a_sentence(parts, words):
    context = MaskingContext(
        torch.zeros(2, 16, 4), (4, 4), providers=dict(part_map=lambda: parts))
    with pytest.raises(ValueError, match=words):
        SemMAEMasker()(context)


def test_bad_power():
    with pytest.raises(ValueError, match='SemMAE uses 2'):
        SemMAEMasker(power=0)
