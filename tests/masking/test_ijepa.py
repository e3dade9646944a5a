# Copyright (c) OpenMMLab. All rights reserved.
"""I-JEPA's blocks: sizes, places, and what is left to look at."""
import pytest
import torch

from sbam_mm.masking import IJEPAMasker, MaskingContext
from sbam_mm.masking.ijepa import block_size, place, sample_blocks

pytestmark = pytest.mark.unit
GRIDS = [(14, 14), (16, 16), (7, 5), (4, 4), (2, 2), (1, 9)]


def extents(blocks, grid):
    """Heights and widths of rectangles, and that they are rectangles."""
    on_grid = blocks.unflatten(-1, grid)
    rows, columns = on_grid.any(-1), on_grid.any(-2)
    assert torch.equal(on_grid, rows[..., None] & columns[..., None, :])
    return rows.sum(-1), columns.sum(-1)


@pytest.mark.parametrize('grid', GRIDS)
def test_targets_are_blocks_of_one_size_at_places_of_their_own(grid):
    torch.manual_seed(0)
    context, targets = sample_blocks(500, grid, targets=3)
    length = grid[0] * grid[1]
    assert context.shape == (500, length)
    assert targets.shape == (500, 3, length)
    heights, widths = extents(targets, grid)
    assert len(heights.unique()) == len(widths.unique()) == 1
    starts = targets.int().argmax(dim=2)
    assert len(starts.unique()) == (
        (grid[0] - heights[0, 0] + 1) * (grid[1] - widths[0, 0] + 1))
    assert context.any(dim=1).all()
    assert not (context & targets.any(dim=1)).any()


def test_sizes_are_those_of_the_paper():
    """Scales (0.15, 0.2), aspects (0.75, 1.5), and a context of 0.85 to 1."""
    assert block_size((14, 14), 0.15, 0.75) == (5, 6)
    assert block_size((14, 14), 0.2, 1.5) == (8, 5)
    assert block_size((14, 14), 1., 1.) == (14, 14)
    assert block_size((2, 2), 0.01, 1.) == (1, 1)
    torch.manual_seed(0)
    areas, contexts = set(), set()
    for _ in range(200):
        _, targets = sample_blocks(1, (14, 14), target_aspect=(1., 1.))
        areas.add(targets[0, 0].sum().item())
        context, _ = sample_blocks(1, (14, 14), 1, (1e-3, 1e-3))
        contexts.add(context.sum().item())
    assert areas == {25, 36}  # 5.4 to 6.3 tokens wide, rounded
    # 12.9 to 14, less the one token of the target, if it is inside.
    assert contexts == {168, 169, 195}


def test_what_a_generator_decides_nothing_else_does():
    def draw(seed):
        return sample_blocks(
            4, (8, 8), generator=torch.Generator().manual_seed(seed))

    before = torch.get_rng_state()
    for one, two in zip(draw(3), draw(3)):
        assert torch.equal(one, two)
    assert not torch.equal(draw(3)[1], draw(4)[1])
    assert torch.equal(torch.get_rng_state(), before)


def test_places_are_even():
    torch.manual_seed(0)
    covered = place(4000, 1, (5, 5), (2, 3)).double().mean(dim=(0, 1))
    rows = torch.tensor([1, 2, 2, 2, 1.]).double() / 4
    columns = torch.tensor([1, 2, 3, 2, 1.]).double() / 3
    torch.testing.assert_close(
        covered.view(5, 5), torch.outer(rows, columns), rtol=0, atol=.04)


@pytest.mark.parametrize('grid', [(1, 1), (2, 1), (2, 2)])
def test_something_is_left_to_look_at(grid):
    """Also where targets of the whole image cover everything."""
    torch.manual_seed(0)
    context, _ = sample_blocks(64, grid, target_scale=(1., 1.))
    assert (context.sum(dim=1) >= 1).all()
    mask = IJEPAMasker(target_scale=(1., 1.))(
        MaskingContext(torch.zeros(64, grid[0] * grid[1], 2), grid))
    assert (mask.visible_counts >= 1).all()


def test_the_masker_shows_the_context_and_throws_the_rest():
    torch.manual_seed(0)
    tokens = torch.randn(500, 196, 2)
    masker = IJEPAMasker(context_scale=(0.5, 0.6))
    mask = masker(MaskingContext(tokens, (14, 14)))
    torch.manual_seed(0)
    torch.randn(500, 196, 2)
    context, targets = sample_blocks(500, (14, 14), context_scale=(0.5, 0.6))
    assert torch.equal(mask.visible, context)
    assert torch.equal(mask.masked, targets.any(dim=1))
    assert mask.thrown.any()
    shares = [IJEPAMasker()(MaskingContext(tokens, (14, 14))).masked
              .float().mean().item() for _ in range(30)]
    # What the masker says it hides, to within the spread of the sizes.
    assert masker.ratio.ratio == pytest.approx(
        sum(shares) / len(shares), abs=.03)


@pytest.mark.parametrize('options, words', [
    (dict(targets=0), 'leaves nothing to predict'),
    (dict(target_scale=(0.2, 0.1)), 'the smaller one first'),
    (dict(context_scale=(0.5, 1.1)), 'at most 1'),
    (dict(target_aspect=(0., 1.)), 'above 0'),
    (dict(ratio=0.75), 'cannot hide 0.75'),
    (dict(target_scale=(0.1, float('nan'))), 'no finite number'),
])
def test_bad_input_gets_a_sentence(options, words):
    with pytest.raises(ValueError, match=words):
        IJEPAMasker(**options)
