# Copyright (c) OpenMMLab. All rights reserved.
"""BootMAE computes the official numbers, and trains with any masker."""
import re

import golden_files
import pytest
import torch
from mmengine.logging import MessageHub
from short_trainings import (
    every_parameter_learns,
    two_halves_equal_the_whole,
)
from torch import nn

from sbam_mm.masking import TokenMask
from sbam_mm.masking.bootmae import BlocksAndTokens, rolled_top
from sbam_mm.models.heads import ChannelPixelHead, patchify
from sbam_mm.models.selfsup.bootmae import DEFAULT_TARGET, masked_around
from sbam_mm.models.teachers.momentum import MomentumCopy
from sbam_mm.registry import MODELS

pytestmark = pytest.mark.unit
GOLDEN = golden_files.load('bootmae_forward')
CASES = ['weighted', 'plain']

NAMES = [
    (r'norm([12])\.', r'ln\1.'),
    (r'norm3\.', 'ln_cross.'),
    (r'norm4\.', 'ln_memory.'),
    (r'c_attn\.', 'cross.'),
    (r'mlp\.fc1', 'ffn.layers.0.0'),
    (r'mlp\.fc2', 'ffn.layers.1'),
    (r'^blocks', 'backbone.layers'),
    (r'^norm\.', 'backbone.ln1.'),
    (r'^patch_embed\.proj', 'backbone.patch_embed.projection'),
    (r'^(cls_token|pos_embed)$', r'backbone.\1'),
]
REGRESSORS = [
    (r'^decode_blocks(_1)?\.', 'decoder_blocks.'),
    (r'^decode_norm(_1)?\.', 'decoder_norm.'),
    (r'^down(_1)?\.', 'decoder_embed.'),
    (r'^lm_head(_1)?(\.proj)?\.', 'decoder_pred.'),
    (r'^mask_token(_1)?$', 'mask_token'),
    (r'^de_pos_embed$', 'decoder_pos_embed'),
]


def our_name(official):
    """The name of an official BootMAE parameter in our model."""
    name = official
    for pattern, replacement in REGRESSORS:
        name, hits = re.subn(pattern, replacement, name)
        if hits:
            feature = '_1' in official.split('.')[0]
            name = ('feature_regressor.' if feature else 'neck.') + name
            break
    for pattern, replacement in NAMES:
        name = re.sub(pattern, replacement, name)
    return name


def our_state(prefix):
    """The official state dict by our names.

    Queries, keys and values of an encoder block have one bias here, whose
    part for the keys is 0 there; the cross-attention's keys and values are
    one matrix there.
    """
    state = {}
    for key, value in GOLDEN.items():
        if not key.startswith(prefix + '/'):
            continue
        official = key[len(prefix) + 1:]
        name = our_name(official)
        if name.endswith('cross.q_bias'):
            state[name.replace('q_bias', 'q.bias')] = value
        elif name.endswith('cross.v_bias'):
            state[name.replace('v_bias', 'v.bias')] = value
        elif name.endswith('cross.kv.weight'):
            k, v = value.chunk(2)
            state[name.replace('kv', 'k')] = k
            state[name.replace('kv', 'v')] = v
        elif name.endswith('attn.q_bias'):
            v_bias = GOLDEN[key.replace('q_bias', 'v_bias')]
            state[name.replace('q_bias', 'qkv.bias')] = torch.cat(
                [value, torch.zeros_like(value), v_bias])
        elif not name.endswith('attn.v_bias'):
            state[name] = value
    return state


class FixedMask(nn.Module):

    def __init__(self, masked, num_visible=None):
        super().__init__()
        self.token_mask = TokenMask(masked, num_visible=num_visible)
        self.uniform = num_visible is not None

    def forward(self, context):
        return self.token_mask


def bootmae(masker=None, seed=0, **options):
    """The official run's sizes."""
    torch.manual_seed(seed)
    size = dict(img_size=32, patch_size=8)
    regressor = dict(
        type='sbam_mm.Regressor', embed_dim=32, decoder_num_heads=4, **size)
    model = MODELS.build(
        dict(
            type='sbam_mm.BootMAE',
            backbone=dict(
                type='sbam_mm.MaskedViT',
                arch=dict(
                    embed_dims=32,
                    num_layers=2,
                    num_heads=4,
                    feedforward_channels=128),
                **size),
            masker=masker or dict(type='sbam_mm.BootMAEMasker', min_area=2),
            neck=dict(regressor, decoder_embed_dim=24),
            head=dict(type='sbam_mm.ChannelPixelHead', patch_size=8),
            feature_regressor=dict(
                regressor, decoder_embed_dim=32, predict_feature_dim=32),
            **options))
    model.init_weights()
    return model


def official(case):
    """The official weights, with the target's left where they are."""
    model = bootmae(
        FixedMask(GOLDEN[f'{case}/mask'], 6),
        weigh_inside=case == 'weighted',
        target=dict(type='sbam_mm.MomentumTeacher', momentum=1.))
    state = our_state('sd')
    # The feature regressor takes its positions from the encoder's table.
    state['feature_regressor.decoder_pos_embed'] = state['backbone.pos_embed']
    for name, value in our_state('sd_ema').items():
        state[name.replace('backbone.', 'target.average.module.')] = value
    missing, unexpected = model.load_state_dict(state, strict=False)
    assert not unexpected
    # The final norm is not run in the target.
    assert sorted(missing) == [
        'target.average.module.ln1.bias', 'target.average.module.ln1.weight',
        'target.average.steps'
    ]
    model.target.average.steps.fill_(1)
    return model.train()


def images(batch_size=4, seed=1):
    """Salient shares that differ, so that ratios per image do."""
    generator = torch.Generator().manual_seed(seed)
    batch = torch.randn(batch_size, 3, 32, 32, generator=generator)
    batch[1, :, :, :24] *= 0.05
    return batch


def close(actual, expected, rtol=1e-4, atol=2e-5):
    torch.testing.assert_close(actual, expected, rtol=rtol, atol=atol)


def at_epoch(epoch, epochs, iters=4):
    """As the runner tells at the beginning of an epoch's second step."""
    hub = MessageHub.get_current_instance()
    hub.update_info('epoch', epoch)
    hub.update_info('max_epochs', epochs)
    hub.update_info('iter', epoch * iters + 1)
    hub.update_info('max_iters', epochs * iters)


@pytest.mark.parametrize('case', CASES)
def test_mask_equals_official(case):
    # The official key is lowest where tokens are hidden, ours highest.
    blocks = GOLDEN['block_mask'].flatten(1)
    key = blocks + 0.5 * (1 - GOLDEN[f'{case}/noise'])
    masked = rolled_top(key, 6, int(GOLDEN[f'{case}/roll']))
    assert torch.equal(masked, GOLDEN[f'{case}/mask'])


@pytest.mark.parametrize('roll', [0, 3])
def test_blocks_are_hidden_first(roll):
    """All but at most ``roll`` of the rectangles' tokens."""
    from sbam_mm.masking import MaskingContext
    torch.manual_seed(0)
    selection = BlocksAndTokens(roll=roll)
    context = MaskingContext(torch.zeros(8, 196, 1), (14, 14))
    for _ in range(5):
        state = torch.get_rng_state()
        choice = selection(torch.zeros(8, 196), 49, context)
        torch.set_rng_state(state)
        blocks = selection.rectangles(context, [49] * 8)
        assert (choice.masked.sum(1) == 147).all()
        assert (blocks.sum(1) == 120).all()
        assert ((blocks & ~choice.masked).sum(1) <= roll).all()


@pytest.mark.parametrize('case', CASES)
def test_official_forward(case):
    model = official(case)
    tokens = model.backbone.embed(GOLDEN['images'])
    predictions = model.regress(tokens, model.masker.token_mask)
    close(predictions.pixels, patchify(GOLDEN[f'{case}/pix_pred'], 8))
    close(predictions.features, GOLDEN[f'{case}/feat_pred'])
    close(model.target.tokens(GOLDEN['images']), GOLDEN['feat_target'])


@pytest.mark.parametrize('case', CASES)
def test_official_losses_and_gradients(case):
    at_epoch(int(GOLDEN['cfg/ep']), int(GOLDEN['cfg/epochs']))
    model = official(case)
    out = model.loss(GOLDEN['images'])
    weight = out['feature_weight']
    close(out['loss_pixel'], GOLDEN[f'{case}/loss_pixel'], 1e-5, 0)
    close(out['loss_feature'] / weight, GOLDEN[f'{case}/loss_feature'], 1e-5,
          0)
    total = out['loss_pixel'] + out['loss_feature']
    close(total, GOLDEN[f'{case}/loss'], 1e-5, 0)
    total.backward()
    parameters = dict(model.named_parameters())
    for key, value in GOLDEN.items():
        if key.startswith(f'{case}/grad/'):
            name = our_name(key[len(f'{case}/grad/'):])
            close(parameters[name].grad, value, 1e-3,
                  2e-5 * value.abs().max().item())


def test_official_decay():
    options = dict(DEFAULT_TARGET)
    options.pop('type')
    copy = MomentumCopy(nn.Linear(1, 1), **options)
    for epoch, decay in GOLDEN['ema_decay_table'].tolist():
        at_epoch(int(epoch), 801, iters=5004)
        assert copy.momentum() == pytest.approx(decay, abs=1e-9)
        # It stays within the epoch.
        hub = MessageHub.get_current_instance()
        hub.update_info('iter', (int(epoch) + 1) * 5004)
        assert copy.momentum() == pytest.approx(decay, abs=1e-9)


def test_milestones_out_of_order():
    with pytest.raises(ValueError, match='ascend'):
        MomentumCopy(nn.Linear(1, 1), milestones=((9, 0.9), (3, 0.99)))
    with pytest.raises(ValueError, match='leave one'):
        MomentumCopy(nn.Linear(1, 1), end_momentum=1., milestones=((9, .9), ))


def test_position_tables_are_official():
    ours = bootmae().state_dict()
    close(ours['backbone.pos_embed'], GOLDEN['sd/pos_embed'])
    close(ours['neck.decoder_pos_embed'], GOLDEN['sd/de_pos_embed'])
    close(ours['feature_regressor.decoder_pos_embed'], GOLDEN['sd/pos_embed'])


@pytest.mark.parametrize('epoch,weight', [(0, 0.2), (3, 0.8), (4, 1.),
                                          (19, 1.)])
def test_feature_weight_ramps(epoch, weight):
    at_epoch(epoch, 20)
    assert bootmae().ramped_weight() == pytest.approx(weight)


def test_weight_counts_masked_neighbours():
    masked = torch.rand(2, 12, generator=torch.manual_seed(0)) < 0.5
    around = masked_around(TokenMask(masked), (3, 4)).view(2, 3, 4)
    grid = masked.view(2, 3, 4)
    for b, row, column in ((0, 0, 0), (1, 1, 2), (0, 2, 3)):
        window = grid[b, max(row - 1, 0):row + 2, max(column - 1, 0):column +
                      2]
        close(around[b, row, column], window.sum() / 9)


def test_target_pixels_have_no_colour_cast():
    target = ChannelPixelHead(8).target(images()).unflatten(-1, (64, 3))
    close(target.mean(2), torch.zeros(4, 16, 3), atol=1e-5)
    close(target.var(2, correction=0), torch.ones(4, 16, 3), 2e-2, 0)


def test_head_inverts_its_target():
    head, batch = ChannelPixelHead(8), images()
    close(head.to_images(head.target(batch), batch), batch, 1e-4, 1e-4)


@pytest.mark.parametrize('throw', [False, True])
def test_packed_equals_a_loop_over_images(throw):
    generator = torch.Generator().manual_seed(3)
    masked = torch.rand(4, 16, generator=generator) < torch.tensor(
        [.3, .5, .7, .9])[:, None]
    masked[:, 5] = False
    thrown = None
    if throw:
        thrown = ~masked & (torch.rand(4, 16, generator=generator) < 0.4)
        thrown[:, 5] = False
    model = bootmae().eval()
    tokens = model.backbone.embed(images())
    together = model.regress(tokens, TokenMask(masked, thrown))
    for i in range(4):
        row = slice(i, i + 1)
        one = TokenMask(masked[row], None if thrown is None else thrown[row])
        alone = model.regress(tokens[row], one)
        seen = slice(None) if thrown is None else ~thrown[i]
        for a, b in zip(together, alone):
            close(a[i][seen], b[0][seen], 1e-5, 1e-5)


def test_thrown_tokens_are_not_looked_at():
    """What stands there changes no prediction of another token."""
    thrown = torch.zeros(4, 16, dtype=torch.bool)
    thrown[:, 3:6] = True
    masked = torch.zeros_like(thrown)
    masked[:, 8:] = True
    model = bootmae().eval()
    tokens = model.backbone.embed(images())
    mask = TokenMask(masked, thrown)
    changed = torch.where(thrown[..., None], 9., tokens)
    for a, b in zip(model.regress(tokens, mask), model.regress(changed, mask)):
        close(a[~thrown], b[~thrown])


@pytest.mark.parametrize('masker', [
    dict(type='sbam_mm.BootMAEMasker', min_area=2, roll=1),
    dict(type='sbam_mm.SBAM'),
    dict(type='sbam_mm.SBAM', cell=2),
    dict(type='sbam_mm.RandomRatioMasker'),
    dict(type='sbam_mm.AttMask', block=-1),
    dict(
        type='sbam_mm.Masker',
        salience=dict(type='sbam_mm.AffinitySalience'),
        ratio=dict(type='sbam_mm.AdaptiveRatio', ratio=0.45),
        selection=dict(type='sbam_mm.WeightedOrder', throw=0.3)),
], ids=lambda masker: masker['type'])
def test_trains_with_any_masker(masker):
    every_parameter_learns(bootmae(masker).train(), images())


def test_blocks_the_encoder_lacks():
    with pytest.raises(ValueError, match='2 blocks'):
        bootmae(memory=(0, 11))


def test_two_halves_of_a_training_equal_the_whole(tmp_path):
    two_halves_equal_the_whole(
        lambda seed: bootmae(dict(type='sbam_mm.SBAM'), seed=seed).train(),
        images(), tmp_path / 'half.pth')


def test_former_names_still_work():
    model, batch = bootmae(), images(2)
    tokens, mask = model.backbone.embed(batch), TokenMask(
        torch.arange(16) < torch.tensor([[9], [5]]))
    want = model.backbone.encode(tokens, mask, (0, -1))
    with pytest.warns(DeprecationWarning, match='latent.blocks'):
        latent, through = model.backbone.encode_through(tokens, mask, (0, -1))
    assert torch.equal(latent.packed, want.packed)
    for got, block in zip(through, want.blocks):
        assert torch.equal(got.packed, block)
    with pytest.warns(DeprecationWarning, match='target.tokens'):
        assert torch.equal(model.target_tokens(batch),
                           model.target.tokens(batch))
