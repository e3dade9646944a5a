# Copyright (c) OpenMMLab. All rights reserved.
"""Images of another grid than a model's are refused, whatever the model."""
import pytest
import tiny_configs
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmpretrain.registry import MODELS as PT_MODELS
from small_runs import small

from sbam_mm.masking import TokenMask
from sbam_mm.models import MaskedBEiT, MaskedViT
from sbam_mm.models.checkpoint import load_weights
from sbam_mm.models.necks import MAEDecoder, Regressor
from sbam_mm.models.position_tables import fit_tables, stored_grids
from sbam_mm.registry import MODELS

pytestmark = pytest.mark.unit
ARCH = dict(
    embed_dims=24, num_layers=2, num_heads=3, feedforward_channels=48)
DECODER = dict(
    embed_dim=24, decoder_embed_dim=16, decoder_depth=1, decoder_num_heads=2)


def sized(config, size, folder, **backbone):
    """The tiny model of a config, for images of another size, untrained."""
    cfg = small(config)
    model = cfg.model
    tiny_configs.METHODS[model.type](model)
    tiny_configs.dalle_tokenizer(model, folder)
    model.backbone.update(backbone)
    for part in model.values():
        if isinstance(part, dict) and 'img_size' in part:
            part.img_size = size
    if model.type == 'MAE':  # mmpretrain's decoder counts
        model.neck.num_patches = size[0] * size[1] // 64
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        return MODELS.build(model)


FRAMEWORKS = [
    'mae_small', 'sbam_small', 'mae_small hpm', 'cae_small', 'bootmae_small',
    'cmae_small', 'convmae_small', 'convmae_small sbam', 'simmim_small',
    'ijepa_small', 'data2vec2_small'
]
OTHERS = {
    'smaller': ((48, 48), (32, 32)),
    'larger': ((32, 32), (48, 48)),
    'swapped': ((32, 48), (48, 32)),
    'as many': ((16, 64), (32, 32)),
}


def batch(model, size):
    images = torch.randn(2, 3, *size)
    if type(model).__name__ == 'CMAE':
        return [images, torch.randn(2, 3, *size)]
    return images


@pytest.mark.parametrize('other', OTHERS)
@pytest.mark.parametrize('config', FRAMEWORKS)
def test_refused_at_the_first_batch(config, other, tmp_path):
    own, given = OTHERS[other]
    model = sized(config, own, tmp_path)
    with pytest.raises(ValueError, match='img_size'):
        model.loss(batch(model, given))
    model.loss(batch(model, own))


@pytest.mark.parametrize('other', OTHERS)
@pytest.mark.parametrize('config', [
    'mae_small', 'cae_small', 'bootmae_small',
    'convmae_small'])
def test_pictures_with_a_given_mask(config, other, tmp_path):
    own, given = OTHERS[other]
    model = sized(config, own, tmp_path)
    patches = given[0] * given[1] // 64
    mask = TokenMask(torch.arange(patches).expand(2, -1) < 5)
    with pytest.raises(ValueError, match='img_size'):
        model.reconstruct(torch.randn(2, 3, *given), mask)


@pytest.mark.parametrize('other', OTHERS)
def test_drop_in(other):
    own, given = OTHERS[other]
    vit = MODELS.build(
        dict(type='sbam_mm.MAEViT', arch=ARCH, img_size=own, patch_size=8,
             masker=dict(type='sbam_mm.SBAM', scope='batch')))
    with pytest.raises(ValueError, match='backbone.img_size'):
        vit(torch.randn(2, 3, *given))
    vit(torch.randn(2, 3, *given), mask=False)


@pytest.mark.parametrize('other', OTHERS)
def test_relative_positions(other):
    own, given = OTHERS[other]
    vit = MaskedBEiT(ARCH, img_size=own, patch_size=8)
    with pytest.raises(ValueError, match='backbone.img_size'):
        vit(torch.randn(2, 3, *given))


def test_learned_positions_follow_the_images(tmp_path):
    """SimMIM's decoder has no grid, and the table is interpolated."""
    model = sized('simmim_small', (48, 48), tmp_path)
    cfg = dict(type='sbam_mm.MaskedViT', arch=ARCH, img_size=48, patch_size=8)
    for learned in (True, False):
        model = MODELS.build(
            dict(
                type='sbam_mm.SimMIM',
                backbone=dict(cfg, learned_position=learned),
                neck=dict(type='sbam_mm.LinearDecoder', embed_dim=24,
                          patch_size=8),
                head=dict(type='sbam_mm.PixelHead', patch_size=8,
                          norm_pix=False)))
        images = torch.randn(2, 3, 32, 64)
        if learned:
            model.loss(images)
            continue
        with pytest.raises(ValueError, match='model.backbone is built for'):
            model.loss(images)


@pytest.mark.parametrize('learned', [True, False])
@pytest.mark.parametrize('kind', ['DINO', 'iBOT'])
def test_local_crops_are_of_other_sizes(kind, learned):
    model = MODELS.build(
        dict(
            type=f'sbam_mm.{kind}',
            backbone=dict(type='sbam_mm.MaskedViT', arch=ARCH, img_size=32,
                          patch_size=8, learned_position=learned),
            head=dict(type='sbam_mm.DINOHead', in_dim=24, out_dim=16,
                      hidden_dim=16, bottleneck_dim=8)))
    crops = [torch.randn(2, 3, side, side) for side in (32, 32, 16)]
    assert model.loss(crops)['loss_cls'].isfinite()


@pytest.mark.parametrize('count', [9, 25])
def test_decoders_by_themselves(count):
    vit = MaskedViT(ARCH, img_size=32, patch_size=8)
    mask = TokenMask(torch.arange(count).expand(2, -1) < 5)
    latent = vit.encode(torch.randn(2, count, 24), mask, (0, ))
    memory, = latent.blocks
    decoder = MAEDecoder(img_size=32, patch_size=8, **DECODER)
    with pytest.raises(ValueError, match='img_size'):
        decoder(latent, mask)
    with pytest.raises(ValueError, match='img_size'):
        decoder.predict_masked(latent, mask)
    regressor = Regressor(img_size=32, patch_size=8, **DECODER)
    with pytest.raises(ValueError, match='img_size'):
        regressor(latent, memory, mask)


# Weights


def vit(size, kind=MaskedViT, seed=0):
    torch.manual_seed(seed)
    return kind(ARCH, img_size=size, patch_size=8)


def gradient(model):
    """Positions whose value is their row: what swapping would show."""
    h, w = model.patch_resolution
    rows = torch.arange(h).repeat_interleave(w).float()
    model.pos_embed.data[:, 1:] = (rows / max(h - 1, 1))[None, :, None]
    return model


def is_gradient(model):
    """Whether positions still grow from row to row alone."""
    h, w = model.patch_resolution
    cells = model.pos_embed.data[0, 1:, 0].view(h, w)
    return (torch.allclose(cells, cells[:, :1].expand(h, w), atol=1e-5)
            and bool((cells.diff(dim=0) > 0).all()))


PAIRS = [((32, 48), (48, 32)), ((16, 64), (32, 32)), ((32, 32), (16, 64)),
         ((32, 48), (64, 32)), ((32, 32), (48, 48)), ((32, 48), (32, 48))]


@pytest.mark.parametrize('wrapped', ['bare', 'state_dict', 'direct'])
@pytest.mark.parametrize('source, target', PAIRS)
def test_tables_come_from_their_true_grid(tmp_path, source, target, wrapped):
    trained, model = gradient(vit(source)), vit(target, seed=1)
    state = trained.state_dict()
    if wrapped == 'direct':
        model.load_state_dict(state)
    else:
        torch.save(state if wrapped == 'bare' else dict(state_dict=state),
                   tmp_path / 'x.pth')
        load_weights(model, tmp_path / 'x.pth', 1.)
    assert is_gradient(model)
    assert torch.equal(model.ln1.weight, trained.ln1.weight)


@pytest.mark.parametrize('kind', ['cfg', 'told'])
def test_of_files_that_hold_no_grid(tmp_path, kind):
    trained, model = gradient(vit((32, 48))), vit((48, 32), seed=1)
    file = dict(state_dict=dict(trained.state_dict()))
    path, grid = tmp_path / 'x.pth', (4, 6)
    if kind == 'cfg':
        cfg = Config(dict(model=dict(type='sbam_mm.MAE', backbone=dict(
            type='sbam_mm.MaskedViT', img_size=(32, 48), patch_size=8))))
        file['meta'] = dict(cfg=cfg.pretty_text)
        grid = None
    torch.save(file, path)
    load_weights(model, path, 1., grid=grid)
    assert is_gradient(model)


@pytest.mark.parametrize('target', [(48, 32), (32, 48), (64, 64)])
def test_a_grid_that_cannot_be_known_is_refused(tmp_path, target):
    torch.save(dict(vit((32, 48)).state_dict()), tmp_path / 'x.pth')
    with pytest.raises(ValueError, match='--grid'):
        load_weights(vit(target), tmp_path / 'x.pth')


def test_squares_may_be_either(tmp_path):
    """16 patches are 4 x 4 of another project, unless 2 x 8 would do."""
    torch.save(dict(gradient(vit((32, 32))).state_dict()), tmp_path / 'x.pth')
    model = vit((32, 32), seed=1)
    load_weights(model, tmp_path / 'x.pth')
    assert is_gradient(model)
    model = vit((32, 64), seed=1)
    load_weights(model, tmp_path / 'x.pth')
    assert is_gradient(model)
    with pytest.raises(ValueError, match='--grid'):
        load_weights(vit((16, 64)), tmp_path / 'x.pth')


def test_config_in_a_file_is_not_run(tmp_path):
    mark = tmp_path / 'RAN'
    text = (f'import os\nos.system("touch {mark}")\n'
            'model = dict(backbone=dict(img_size=(16, 24), patch_size=8))\n'
            f'x = __import__("os").system("touch {mark}")')
    assert stored_grids(dict(meta=dict(cfg=text))) == {(2, 3)}
    text = f'model = dict(backbone=dict(img_size=open("{mark}", "w")))'
    assert stored_grids(dict(meta=dict(cfg=text))) == frozenset()
    assert not mark.exists()


def test_decoders_tables_follow(tmp_path, tiny_mae):
    trained = tiny_mae(img_size=(32, 48))
    torch.save(trained.state_dict(), tmp_path / 'x.pth')
    model = tiny_mae(img_size=(48, 32), seed=1)
    assert load_weights(model, tmp_path / 'x.pth', 1.).share == 1.
    own, theirs = (x.neck.decoder_pos_embed[0, 1:].unflatten(0, x.neck.grid)
                   for x in (model, trained))
    # Both tables grow from corner to corner, whatever the grid.
    torch.testing.assert_close(own[0, 0], theirs[0, 0], atol=.3, rtol=0)
    torch.testing.assert_close(own[-1, -1], theirs[-1, -1], atol=.3, rtol=0)


def test_relative_tables_of_another_grid_are_refused(tmp_path):
    trained = vit((32, 48), MaskedBEiT)
    torch.save(trained.state_dict(), tmp_path / 'x.pth')
    load_weights(vit((32, 48), MaskedBEiT, 1), tmp_path / 'x.pth', 1.)
    with pytest.raises(ValueError, match='4 x 6 patches'):
        load_weights(vit((48, 32), MaskedBEiT), tmp_path / 'x.pth')
    with pytest.raises(ValueError, match='4 x 6 patches'):
        vit((48, 32), MaskedBEiT).load_state_dict(trained.state_dict())
    torch.save(dict(trained.state_dict()), tmp_path / 'y.pth')
    with pytest.raises(ValueError, match='unknown grid'):
        load_weights(vit((48, 32), MaskedBEiT), tmp_path / 'y.pth')


@pytest.mark.parametrize('loader', ['teacher', 'evaluation', 'downstream',
                                    'momentum'])
def test_other_loaders(tmp_path, loader):
    from sbam_mm.downstream import DenseViT, load_encoder
    from sbam_mm.models import pretrained_encoder
    from sbam_mm.models.teachers import FrozenTeacher
    trained = gradient(vit((32, 48)))
    path = str(tmp_path / 'x.pth')
    torch.save(torch.nn.ModuleDict(dict(backbone=trained)).state_dict(), path)
    model = vit((48, 32), seed=1)
    if loader == 'teacher':
        FrozenTeacher(model, path)
    elif loader == 'evaluation':
        pretrained_encoder.load_encoder(model, path)
    elif loader == 'momentum':
        holder = torch.nn.ModuleDict(dict(module=torch.nn.ModuleDict(dict(
            backbone=trained))))
        state = torch.nn.ModuleDict(dict(momentum_teacher=holder))
        torch.save(dict(state_dict=state.state_dict()), path)
        pretrained_encoder.load_encoder(model, path)
    else:
        model = DenseViT(ARCH, img_size=(48, 32), patch_size=8,
                         out_indices=(1, ))
        load_encoder(model, path)
    assert is_gradient(model)


def test_plain_vit_of_mmpretrain(tmp_path):
    model = PT_MODELS.build(
        dict(type='VisionTransformer', arch=ARCH, img_size=(48, 32),
             patch_size=8))
    torch.save(gradient(vit((32, 48))).state_dict(), tmp_path / 'x.pth')
    load_weights(model, tmp_path / 'x.pth')
    assert is_gradient(model)


def test_without_extra_rows():
    """ConvMAE's table has no class token's row."""
    from sbam_mm.models import ConvViT
    arch = dict(embed_dims=(8, 12, 24), depths=(1, 1, 2), num_heads=3)
    wide, tall = (
        ConvViT(arch, img_size=size, patch_sizes=(2, 2, 2))
        for size in ((32, 48), (48, 32)))
    state = wide.state_dict()
    fitted = fit_tables(tall, state, stored_grids(state))
    cells = state['pos_embed'].unflatten(1, (4, 6)).permute(0, 3, 1, 2)
    wanted = torch.nn.functional.interpolate(
        cells, (6, 4), mode='bicubic').flatten(2).mT
    torch.testing.assert_close(fitted['pos_embed'], wanted)
    tall.load_state_dict(state)
    torch.testing.assert_close(tall.pos_embed.data, wanted)
