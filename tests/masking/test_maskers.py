# Copyright (c) OpenMMLab. All rights reserved.
"""What holds for every masker."""
import pytest
import torch

from sbam_mm.masking import (
    SBAM,
    SBM,
    AffinitySalience,
    BlockMasker,
    EasyToHard,
    FixedRatio,
    GridMasker,
    HintTopK,
    IncomingMasker,
    Masker,
    MaskingContext,
    NoisyTopK,
    RandomMasker,
    RandomRatioMasker,
    ScheduledRatio,
    SoftToHard,
    TokenMask,
    UniformMasker,
    WeightedOrder,
    check_needs,
)
from sbam_mm.masking import functional as F
from sbam_mm.registry import MODELS

pytestmark = pytest.mark.unit



def selecting(selection):
    """A masker class of SBAM's scores and this selection."""
    return lambda ratio=0.75: Masker(AffinitySalience(), FixedRatio(ratio),
                                     selection)


MASKERS = {
    'random': RandomMasker,
    'block': BlockMasker,
    'sbm': SBM,
    'sbam': SBAM,
    'sbam-batch': lambda **kw: SBAM(scope='batch', **kw),
    'incoming': IncomingMasker,
    'weighted': selecting(WeightedOrder()),
    'weighted-throw': selecting(WeightedOrder(throw=0.1)),
    'weighted-keep': selecting(WeightedOrder(keep=True)),
    'soft-to-hard': selecting(SoftToHard()),
    'easy-to-hard': selecting(EasyToHard()),
    'hint': selecting(HintTopK('hint')),
}
# These have no one ratio to set.
OWN_RATIO = {
    'uniform': UniformMasker,
    'grid': GridMasker,
    'random-ratio': RandomRatioMasker,
    'random-ratio-batch': lambda: RandomRatioMasker(scope='batch'),
    'scheduled': lambda: Masker(AffinitySalience(), ScheduledRatio(),
                                NoisyTopK()),
    'views': lambda: Masker(AffinitySalience(), FixedRatio(),
                            HintTopK('high', probability=0.5)),
}
GRIDS = [(14, 14), (7, 5), (1, 9), (1, 1)]


def images(batch_size=3, grid=(14, 14), dim=16, seed=0):
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.randn(
        batch_size, grid[0] * grid[1], dim, generator=generator)
    return MaskingContext(tokens, grid, progress=0.5)


@pytest.fixture(params=MASKERS)
def masker_class(request):
    return MASKERS[request.param]


@pytest.fixture(params=[*MASKERS, *OWN_RATIO])
def any_masker(request):
    return {**MASKERS, **OWN_RATIO}[request.param]()


def check_partition(masker, mask, grid):
    """Every token in one state, a count that holds, a permutation."""
    length = grid[0] * grid[1]
    thrown = torch.zeros_like(mask.masked)
    if mask.thrown is not None:
        thrown = mask.thrown
    assert not (mask.masked & thrown).any()
    assert torch.equal(mask.visible, ~(mask.masked | thrown))
    assert torch.equal(mask.visible_counts,
                       length - mask.masked.sum(1) - thrown.sum(1))
    assert (mask.visible_counts >= 1).all()
    assert mask.uniform == masker.uniform
    if mask.uniform:
        assert (mask.visible_counts == mask.num_visible).all()
    order = mask.ids_shuffle
    assert torch.equal(order.sort(1).values,
                       torch.arange(length).expand(3, length))
    assert torch.equal(
        order.gather(1, mask.ids_restore),
        torch.arange(length).expand(3, length))
    # In MAE's order the visible tokens come first.
    shuffled = (~mask.visible).gather(1, order)
    assert (shuffled[:, 1:] >= shuffled[:, :-1]).all()


@pytest.mark.parametrize('grid', GRIDS)
@pytest.mark.parametrize('ratio', [0.6, 0.75, 0.8])
def test_partition_and_counts(masker_class, grid, ratio):
    masker = masker_class(ratio=ratio)
    mask = masker(images(grid=grid))
    check_partition(masker, mask, grid)
    if mask.uniform and isinstance(masker.ratio, FixedRatio):
        count = F.visible_count(grid[0] * grid[1], ratio,
                                masker.ratio.rounding)
        assert (mask.masked.sum(1) == grid[0] * grid[1] - count).all()


@pytest.mark.parametrize('grid', GRIDS)
@pytest.mark.parametrize('name', OWN_RATIO)
def test_partition_at_a_ratio_of_its_own(name, grid):
    masker = OWN_RATIO[name]()
    check_partition(masker, masker(images(grid=grid)), grid)


def test_batch_of_one(any_masker):
    assert any_masker(images(1)).masked.shape == (1, 196)


@pytest.mark.parametrize('progress', [0., 1.])
def test_ends_of_the_training(any_masker, progress):
    context = images()
    context.progress = progress
    check_partition(any_masker, any_masker(context), (14, 14))


def test_same_seed_same_mask(any_masker):
    masker, context = any_masker, images(8)
    torch.manual_seed(3)
    first = masker(context).masked
    torch.manual_seed(3)
    second = masker(context).masked
    third = masker(context).masked
    assert torch.equal(first, second)
    assert not torch.equal(second, third)


@pytest.mark.parametrize('value', [0., 3., float('nan'), float('inf')])
def test_degenerate_tokens_give_a_valid_mask(masker_class, value):
    """A constant image, NaN or inf: no preference, a usual count."""
    context = MaskingContext(torch.full((2, 49, 8), value), (7, 7))
    mask = masker_class(ratio=0.75)(context)
    assert torch.equal(mask.scores, torch.zeros(2, 49))
    not_masked = (~mask.masked).sum(1)
    assert (not_masked >= 12).all()
    assert (not_masked <= 29.4).all()
    assert torch.isfinite(mask.ratio).all()


def test_one_nan_image_leaves_the_others_alone():
    context = images()
    noise = torch.rand(3, 196)
    clean = SBAM()(context, noise)
    context.tokens[1, 5] = float('nan')
    mask = SBAM()(context, noise)
    assert torch.equal(mask.masked[[0, 2]], clean.masked[[0, 2]])
    assert not mask.scores[1].any()


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_autocast_changes_nothing(any_masker, dtype):
    masker, context, noise = any_masker, images(), torch.rand(3, 196)
    torch.manual_seed(0)
    plain = masker(context, noise)
    torch.manual_seed(0)
    with torch.autocast('cpu', dtype=dtype):
        cast = masker(context, noise)
    assert cast.scores.dtype == torch.float32
    assert torch.equal(plain.masked, cast.masked)
    assert torch.equal(plain.scores, cast.scores)


def test_no_gradient_reaches_the_tokens(any_masker):
    context = images()
    context.tokens.requires_grad_()
    mask = any_masker(context)
    assert not mask.scores.requires_grad
    assert not mask.ratio.requires_grad


def test_images_do_not_influence_each_other():
    """Per-image AMR: the mask of an image is that of a batch of one."""
    context, noise = images(4), torch.rand(4, 196)
    together = SBAM()(context, noise)
    assert len(set(together.visible_counts.tolist())) > 1
    for i in range(4):
        alone = SBAM()(
            MaskingContext(context.tokens[i:i + 1], (14, 14)), noise[i:i + 1])
        assert torch.equal(alone.masked[0], together.masked[i])


def test_salient_tokens_are_hidden_without_noise():
    context = images()
    mask = SBM(ratio=0.75, noise=0.)(context)
    for scores, masked in zip(mask.scores, mask.masked):
        assert scores[masked].min() >= scores[~masked].max()


def test_much_noise_is_random_masking():
    """With noise >> 1 salience does not matter: same draws, same mask."""
    context, noise = images(), torch.rand(3, 196)
    assert torch.equal(
        SBM(0.75, noise=1e6)(context, noise).masked,
        RandomMasker(0.75)(context, noise).masked)


def test_eq_7():
    """R = r - dr + 2 dr mean(S > delta), counts rounded up."""
    scores = torch.zeros(3, 100)
    scores[0, :50], scores[1, :] = 1, 1
    share = SBAM(0.75, 0.15, 0.1).ratio(scores)
    assert share.ratio.tolist() == pytest.approx([0.75, 0.9, 0.6])
    assert share.num_visible.tolist() == [25, 10, 40]
    assert share.salient.tolist() == pytest.approx([.5, 1., 0.])
    # The threshold is strict.
    assert not SBAM(delta=1.).ratio(scores).salient.any()


def test_visible_bounds_and_start_epoch():
    context = images()
    low = SBAM(0.6, 0.3, 0.001, min_visible=30)(context).visible_counts
    high = SBAM(0.6, 0.3, 0.9, max_visible=40)(context).visible_counts
    assert (low >= 30).all()
    assert (high == 40).all()

    masker, noise = SBAM(0.75, start_epoch=2), torch.rand(3, 196)
    context.epoch = 1
    assert torch.equal(
        masker(context, noise).masked,
        RandomMasker(0.75)(context, noise).masked)
    context.epoch = 2
    assert torch.equal(
        masker(context, noise).masked,
        SBAM(0.75)(context, noise).masked)


@pytest.mark.parametrize('ratio, visible', [(0., 196), (0.999, 1)])
def test_extreme_ratios(ratio, visible):
    assert RandomMasker(ratio)(images()).num_visible == visible


def test_incoming_weight_is_the_row_sum():
    context = images()
    x = context.tokens
    expected = F.min_max(torch.einsum('bid,bjd->bi', x, x))
    got = AffinitySalience(direction='incoming')(context)
    torch.testing.assert_close(got, expected, rtol=0, atol=1e-5)


def test_salience_options():
    context = images(dim=16)
    x = context.tokens
    for options, logits in [
        (dict(scale='sqrt_d'), x @ x.mT / 4),
        (dict(scale=0.1), x @ x.mT * 0.1),
        (dict(normalize=True),
         torch.nn.functional.cosine_similarity(x[:, :, None], x[:, None],
                                               dim=-1)),
    ]:
        sums = logits.softmax(-1).sum(1)
        torch.testing.assert_close(
            AffinitySalience(**options)(context),
            F.min_max(sums),
            rtol=0,
            atol=1e-4)
    position = torch.randn(1, 196, 16)
    moved = MaskingContext(
        x + position, (14, 14), providers=dict(position=lambda: position))
    torch.testing.assert_close(
        AffinitySalience(position=False)(moved),
        AffinitySalience()(context),
        rtol=0,
        atol=1e-4)


def test_block_masks_are_blocks():
    """Most hidden tokens of a block mask have a hidden neighbour."""
    masked = BlockMasker(0.4)(images(8)).masked.view(8, 14, 14)
    right = masked[:, :, :-1] & masked[:, :, 1:]
    random = RandomMasker(0.4)(images(8)).masked.view(8, 14, 14)
    random_right = random[:, :, :-1] & random[:, :, 1:]
    assert right.sum() > 1.5 * random_right.sum()


def test_parts_compose_in_a_config():
    masker = MODELS.build(
        dict(
            type='sbam_mm.Masker',
            salience=dict(type='sbam_mm.AffinitySalience'),
            ratio=dict(type='sbam_mm.FixedRatio', ratio=0.6),
            selection=dict(type='sbam_mm.NoisyTopK', noise=0.25)))
    context, noise = images(), torch.rand(3, 196)
    assert torch.equal(
        masker(context, noise).masked,
        SBM(0.6, noise=0.25, rounding='floor')(context, noise).masked)


def test_statistics():
    mask = TokenMask(
        torch.tensor([[True, True, False, True], [False, True, False,
                                                  False]]))
    stats = {k: v.item() for k, v in mask.statistics().items()}
    assert stats == dict(
        mask_ratio=0.5,
        mask_ratio_min=0.25,
        mask_ratio_max=0.75,
        visible_tokens=2.)
    assert not any('loss' in name for name in stats)
    assert 'salient_fraction' in SBAM()(images()).statistics()


def test_thrown_tokens_are_neither_masked_nor_visible():
    masked = torch.tensor([[True, False, False]])
    thrown = torch.tensor([[False, True, False]])
    mask = TokenMask(masked, thrown)
    assert mask.visible.tolist() == [[False, False, True]]


@pytest.mark.parametrize('make, words', [
    (lambda: RandomMasker(1.), 'share in [0, 1)'),
    (lambda: RandomMasker(-.1), 'share in [0, 1)'),
    (lambda: SBAM(0.9, 0.15), 'leaves [0, 1)'),
    (lambda: SBAM(0.1, 0.15), 'leaves [0, 1)'),
    (lambda: SBAM(scope='image'), 'scope must be'),
    (lambda: SBM(rounding='up'), 'rounding must be'),
    (lambda: SBM(noise=-1), 'noise is the upper end'),
    (lambda: SBAM(min_visible=5, max_visible=4), 'min_visible'),
    (lambda: SBM(salience=dict(direction='both')), 'direction must be'),
    (lambda: SBM(salience=dict(layer=-1)), 'encoder blocks'),
    (lambda: SBM(salience=dict(scale='d')), 'scale must be'),
    (lambda: MaskingContext(torch.zeros(1, 5, 2), (2, 2)), 'class token'),
    (lambda: TokenMask(torch.zeros(2, 3)), 'boolean'),
    (lambda: RandomMasker()(images(), torch.rand(3, 7)), 'draw per token'),
    (lambda: BlockMasker(min_area=8, max_area=4), 'min_area'),
])
def test_bad_input_gets_a_sentence(make, words):
    with pytest.raises(ValueError) as error:
        make()
    assert words in str(error.value)


def test_missing_needs_are_named_at_build_time():
    masker = SBM(salience=dict(layer=2))
    check_needs(masker, frozenset({'layer_tokens'}), 'MAE')
    with pytest.raises(ValueError, match="SBM needs 'layer_tokens'"):
        check_needs(masker, frozenset(), 'SimMIM')
    with pytest.raises(KeyError, match='does not'):
        masker(images())


def test_custom_selection_without_scores_is_deterministic_at_zero_noise():
    masker = Masker(AffinitySalience(), FixedRatio(0.5), NoisyTopK(0.))
    assert torch.equal(masker(images()).masked, masker(images()).masked)
