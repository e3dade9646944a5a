# Copyright (c) OpenMMLab. All rights reserved.
"""What holds for every masker."""
import pytest
import torch

from sbam_mm.masking import (
    AM,
    AMT,
    GPA,
    SBAM,
    SBM,
    AdaptiveRatio,
    AffinitySalience,
    AttMask,
    BlockMasker,
    BootMAEMasker,
    Bump,
    ColorMAEMasker,
    CurriculumMasker,
    EasyToHard,
    FilteredNoise,
    FixedRatio,
    GridMasker,
    HintTopK,
    HPMMasker,
    IJEPAMasker,
    IncomingMasker,
    InverseBlockMasker,
    InverseBlockSelection,
    Masker,
    MaskingContext,
    MILANMasker,
    NoisyTopK,
    NoSalience,
    RandomMasker,
    RandomRatio,
    RandomRatioMasker,
    RandomThrow,
    ScheduledRatio,
    SelfGuidedMasker,
    SoftToHard,
    TokenMask,
    TopWithHints,
    UniformMasker,
    WeightedOrder,
    check_needs,
    join_heads,
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
    'bootmae': BootMAEMasker,
    'bootmae-rolled': lambda **kw: BootMAEMasker(roll=3, **kw),
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
    'bump': selecting(Bump()),
    'am': AM,
    'amt': lambda ratio=0.75: AMT(ratio, throw=0.15),
    'amt-throw-last': lambda ratio=0.75: AMT(
        ratio, throw=0.15, throw_last=True),
    'random-throw': lambda ratio=0.75: RandomThrow(ratio, throw=0.15),
    'attmask-high': lambda ratio=0.75: AttMask('high', ratio, probability=1.),
    'attmask-low': lambda ratio=0.75: AttMask('low', ratio, probability=1.),
    'attmask-hint': lambda ratio=0.75: AttMask('hint', ratio, probability=1.),
    'gpa': GPA,
    'hpm': HPMMasker,
    'milan': MILANMasker,
    'green': ColorMAEMasker,
    'blue': lambda **kw: ColorMAEMasker('blue', **kw),
    'purple': lambda **kw: ColorMAEMasker('purple', **kw),
    'red': lambda **kw: ColorMAEMasker('red', **kw),
    'inverse-block': InverseBlockMasker,
    'capi': lambda **kw: InverseBlockMasker(size=None, **kw),
    'capi-no-roll': lambda **kw: InverseBlockMasker(
        size=None, roll=False, **kw),
    'self-guided': SelfGuidedMasker,
    'curriculum': CurriculumMasker,
}
# These have no one ratio to set.
OWN_RATIO = {
    'uniform': UniformMasker,
    'grid': GridMasker,
    'random-ratio': RandomRatioMasker,
    'random-ratio-batch': lambda: RandomRatioMasker(scope='batch'),
    'scheduled': lambda: Masker(AffinitySalience(), ScheduledRatio(),
                                NoisyTopK()),
    'attmask': AttMask,
    'views': lambda: Masker(AffinitySalience(), FixedRatio(),
                            HintTopK('high', probability=0.5)),
    'ijepa': IJEPAMasker,
    'inverse-block-per-image': lambda: Masker(
        NoSalience(), RandomRatio(), InverseBlockSelection()),
    'capi-per-image': lambda: Masker(
        NoSalience(), RandomRatio(), InverseBlockSelection(size=None)),
    'green-per-image': lambda: Masker(
        NoSalience(), RandomRatio(), FilteredNoise()),
    'self-guided-per-image': lambda: Masker(
        AffinitySalience(), RandomRatio(), TopWithHints(0.2)),
    'curriculum-amr': lambda: CurriculumMasker(AdaptiveRatio()),
    'curriculum-scheduled': lambda: CurriculumMasker((0.5, 0.75), power=2.),
}
GRIDS = [(14, 14), (7, 5), (1, 9), (1, 1)]


def images(batch_size=3, grid=(14, 14), dim=16, seed=0):
    """Random tokens, and whatever a model could provide beyond them."""
    generator = torch.Generator().manual_seed(seed)
    length = grid[0] * grid[1]
    tokens = torch.randn(batch_size, length, dim, generator=generator)
    return MaskingContext(
        tokens,
        grid,
        progress=0.5,
        providers=dict(
            attention=lambda *args: attention_of(tokens),
            teacher_attention=lambda *args: attention_of(tokens),
            attention_map=lambda: attention_of(tokens).mean(1),
            layer_tokens=lambda layer: tokens,
            predicted_loss=lambda: attention_of(tokens).sum(1)))


def attention_of(tokens, heads=12):
    """Stands for a block's attention: positive, (B, heads, L)."""
    return tokens[..., :heads].transpose(1, 2).exp()


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
    chance = not isinstance(masker.selection, HintTopK) or not masker.uniform
    assert torch.equal(second, third) != chance


@pytest.mark.parametrize('value', [0., 3., float('nan'), float('inf')])
def test_degenerate_tokens_give_a_valid_mask(masker_class, value):
    """A constant image, NaN or inf: no preference, a usual count."""
    context = images(2, (7, 7))
    context.tokens.fill_(value)
    masker = masker_class(ratio=0.75)
    mask = masker(context)
    if not isinstance(masker, AMT):  # takes maps as they are stored
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


def test_random_throwing_takes_any_token():
    """Masked, thrown and visible are equally likely for every token."""
    torch.manual_seed(0)
    mask = RandomThrow()(MaskingContext(torch.randn(2000, 20, 4), (4, 5)))
    assert set(mask.masked.sum(1).tolist()) == {9}
    assert set(mask.thrown.sum(1).tolist()) == {8}
    for part, share in ((mask.masked, .45), (mask.thrown, .4),
                        (mask.visible, .15)):
        # Five standard errors of a share of 2000 draws.
        assert (part.float().mean(0) - share).abs().max() < .056
    with pytest.raises(ValueError, match='leaves none visible'):
        RandomThrow(.6, .4)


def small_images():
    return MaskingContext(torch.randn(2, 64, 8), grid=(8, 8))


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
    # The log says what was hidden, not what was asked for.
    for rounding, visible in (('floor', 6), ('ceil', 7)):
        mask = SBM(0.9, rounding=rounding)(small_images())
        assert mask.ratio.tolist() == pytest.approx([.9] * 2)
        stats = {k: v.item() for k, v in mask.statistics().items()}
        assert stats['visible_tokens'] == visible
        assert stats['mask_ratio'] == 1 - visible / 64
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
        masker(small_images())


def test_custom_selection_without_scores_is_deterministic_at_zero_noise():
    masker = Masker(AffinitySalience(), FixedRatio(0.5), NoisyTopK(0.))
    assert torch.equal(masker(images()).masked, masker(images()).masked)


def test_cells_are_hidden_as_a_whole():
    """SimMIM: scores averaged over squares, squares in one state."""
    masker = AMT(0.44, 0.26, warm_up_ratio=.6, rounding='floor', cell=2)
    context = images()
    mask = masker(context, torch.rand(3, 49))
    assert mask.uniform and mask.num_visible == 14 * 4
    assert (mask.masked.sum(1) == 22 * 4).all()
    assert (mask.thrown.sum(1) == 13 * 4).all()
    for state in (mask.masked, mask.thrown):
        squares = state.view(3, 7, 2, 7, 2).transpose(2, 3).flatten(3)
        assert (squares.all(-1) == squares.any(-1)).all()

    sbm = Masker(AffinitySalience(), FixedRatio(0.6), NoisyTopK(0.), cell=2)
    mask = sbm(context)
    means = mask.scores.view(3, 7, 2, 7, 2).mean((2, 4)).flatten(1)
    hidden = mask.masked.view(3, 7, 2, 7, 2)[:, :, 0, :, 0].flatten(1)
    for i in range(3):
        assert means[i][hidden[i]].min() >= means[i][~hidden[i]].max()


@pytest.mark.parametrize('masker', [SBM, SBAM, RandomRatioMasker])
def test_named_maskers_hide_cells(masker):
    mask = masker(cell=2)(images())
    squares = mask.masked.view(3, 7, 2, 7, 2).transpose(2, 3).flatten(3)
    assert torch.equal(squares.all(-1), squares.any(-1))
    hidden = squares[..., 0].flatten(1).sum(1)
    # 49 (1 - R) squares stay, rounded up, R in 0.75 +- 0.15.
    assert (hidden >= 49 - 20).all() and (hidden <= 49 - 5).all()


def test_cells_want_a_grid_they_tile():
    with pytest.raises(ValueError, match='do not tile a grid of 7 x 5'):
        RandomMasker(0.6, cell=2)(images(grid=(7, 5)))


def test_warm_up_until_maps_exist():
    """AMT masks at random, at the warm-up's ratio, without a map."""
    context, noise = images(), torch.rand(3, 196)
    context.providers['attention_map'] = lambda: None
    mask = AMT()(context, noise)
    assert torch.equal(mask.masked, RandomMasker(0.75)(context, noise).masked)
    assert mask.thrown is None and mask.num_visible == 49
    mask = AMT()(images(), noise)
    assert (mask.masked.sum(1) == 88).all()
    assert (mask.thrown.sum(1) == 78).all() and mask.num_visible == 30


@pytest.mark.parametrize('last', [False, True])
def test_what_amt_throws(last):
    """The middle of the order of the draws, or its end (Table 4)."""
    weights = torch.tensor([[8., 7, 6, 5, 4, 3, 2, 1]])
    choice = WeightedOrder(throw=0.25, throw_last=last)(
        weights, 4, exponential=torch.ones(1, 8))
    assert choice.masked[0].nonzero().flatten().tolist() == [0, 1, 2, 3]
    thrown = choice.thrown[0].nonzero().flatten().tolist()
    assert thrown == ([6, 7] if last else [4, 5])


def test_bump_is_a_head_start():
    """Top tokens win against draws up to 0.5 higher; 0 is random."""
    context, noise = images(), torch.rand(3, 196)
    scores = AffinitySalience()(context)
    masked = Bump(bump=1.)(scores, 49, context, noise).masked
    top = F.top_rank(scores, noise) < 49
    assert masked[top].all()
    assert torch.equal(
        Bump(bump=0.)(scores, 49, context, noise).masked,
        RandomMasker(0.75)(context, noise).masked)
    expected = (noise + 0.5 * top).argsort(1, descending=True)[:, :147]
    half = Bump()(scores, 49, context, noise).masked
    assert torch.equal(half.nonzero()[:, 1].view(3, 147),
                       expected.sort(1).values)


def test_a_provider_is_asked_once():
    calls = []
    context = images()
    context.providers['attention'] = (
        lambda *args: calls.append(args) or attention_of(context.tokens))
    for _ in range(2):
        AttMask(source='self')(context)
    assert len(calls) == 1
    AttMask(source='self', block=0)(context)
    assert len(calls) == 2


def test_heads_are_scaled_before_or_after_joining():
    received = torch.tensor([[[0., 1., 2.], [10., 0., 0.]]])
    assert join_heads(received).tolist() == [pytest.approx([1., 0., 1 / 9])]
    assert join_heads(received, normalize='head').tolist() == [[.5, .25, .5]]
    assert join_heads(received, 1).tolist() == [[1., 0., 0.]]
    assert join_heads(received, 'sum').tolist() == join_heads(
        received).tolist()


class Brightness(torch.nn.Module):
    """Bright patches are salient: a user's part that looks at the images."""

    def forward(self, context):
        return torch.nn.functional.adaptive_avg_pool2d(
            context.images.mean(1, keepdim=True), context.grid).flatten(1)


@pytest.mark.parametrize('cell', [1, 2])
def test_a_part_may_look_at_the_images(cell):
    images = torch.zeros(2, 3, 64, 64)
    images[:, :, :, :32] = 1
    context = MaskingContext(torch.zeros(2, 16, 4), (4, 4), images=images)
    masker = Masker(Brightness(), FixedRatio(0.5), NoisyTopK(0.), cell=cell)
    left = torch.tensor([True, True, False, False]).repeat(4)
    assert torch.equal(masker(context).masked, left.expand(2, 16))


def test_fields_of_the_context_keep_their_places():
    context = MaskingContext(torch.zeros(1, 4, 2), (2, 2), 0.5, 3, {})
    assert (context.progress, context.epoch) == (0.5, 3)
    assert context.images is None


def test_parts_print_their_options():
    assert repr(NoisyTopK()) == 'NoisyTopK(noise=0.5)'
    assert "scope='batch'" in repr(SBAM(scope='batch'))
