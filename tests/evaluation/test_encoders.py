# Copyright (c) OpenMMLab. All rights reserved.
"""The evaluated encoder is the pre-trained one, from whoever's file."""
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmpretrain.models import BEiTViT, VisionTransformer

from sbam_mm.evaluation import extract_features
from sbam_mm.evaluation.encoders import encoder_recipe, file_hash
from sbam_mm.evaluation.feature_cache import cached_features
from sbam_mm.evaluation.features import (
    FEATURES,
    POOLINGS,
    FrozenEncoder,
    Tokens,
    encode,
    features_for,
    has_class_token,
    pool,
)
from sbam_mm.models.checkpoint_formats import from_ours
from sbam_mm.models.pretrained_encoder import encoder_weights, load_encoder
from sbam_mm.registry import MODELS

pytestmark = pytest.mark.unit
ARCH = dict(embed_dims=24, num_layers=5, num_heads=3,
            feedforward_channels=48)
SIZE = dict(img_size=32, patch_size=8)


def config(kind='sbam_mm.MaskedViT', **options):
    return Config(dict(
        model=dict(
            type='sbam_mm.MAE',
            data_preprocessor=dict(
                type='SelfSupDataPreprocessor', mean=[1., 2., 3.],
                std=[4., 5., 6.], to_rgb=True),
            backbone=dict(type=kind, arch=ARCH, **SIZE, **options))))


def built(recipe):
    # mmpretrain's eval() returns nothing.
    backbone = recipe.build()
    backbone.eval()
    return backbone


def random_encoder(kind='sbam_mm.MaskedViT', **options):
    torch.manual_seed(3)
    model = MODELS.build(dict(type=kind, arch=ARCH, **SIZE, **options))
    model.init_weights()
    for parameter in model.parameters():
        parameter.data += 0.05 * torch.randn_like(parameter)
    model.eval()
    return model


@pytest.mark.parametrize('kind, plain, options', [
    ('sbam_mm.MaskedViT', VisionTransformer, {}),
    ('sbam_mm.MaskedViT', VisionTransformer,
     dict(layer_scale_init_value=0.1, learned_position=True)),
    ('mmpretrain.VisionTransformer', VisionTransformer, {}),
    ('sbam_mm.MaskedBEiT', BEiTViT, {}),
])
def test_same_features_as_the_pre_training_encoder(kind, plain, options,
                                                   tmp_path):
    encoder = random_encoder(kind, **options)
    torch.save(dict(state_dict={
        f'backbone.{k}': v for k, v in encoder.state_dict().items()}),
        tmp_path / 'a.pth')
    if kind.startswith('mmpretrain'):
        encoder.out_type = 'raw'
    recipe = encoder_recipe(config(kind, **options))
    assert recipe.normalise == dict(
        mean=[1., 2., 3.], std=[4., 5., 6.], to_rgb=True)
    found = built(recipe)
    assert type(found) is plain
    assert not load_encoder(found, str(tmp_path / 'a.pth')).missing
    images = torch.randn(2, 3, 32, 32)
    torch.testing.assert_close(found(images)[0], encoder(images)[0],
                               rtol=0, atol=1e-5)


@pytest.mark.parametrize('name', ['mae', 'timm', 'dino', 'hf'])
def test_official_files(name, tmp_path):
    encoder = random_encoder()
    state = from_ours({
        f'backbone.{k}': v for k, v in encoder.state_dict().items()},
        name, part='encoder').state
    torch.save(dict(model=state) if name == 'mae' else state,
               tmp_path / 'a.pth')
    found = built(encoder_recipe(arch=ARCH, patch=8, size=32))
    load_encoder(found, str(tmp_path / 'a.pth'))
    images = torch.randn(2, 3, 32, 32)
    torch.testing.assert_close(found(images)[0], encoder(images)[0],
                               rtol=0, atol=1e-5)


def test_branches_of_our_own_distillation():
    state = {'backbone.a': torch.zeros(1),
             'momentum_teacher.module.backbone.a': torch.ones(1),
             'momentum_teacher.module.head.b': torch.ones(1)}
    for branch, value in (('teacher', 1.), ('student', 0.)):
        found = encoder_weights(dict(state_dict=state), branch=branch)
        assert found['a'].item() == value
    assert list(encoder_weights(dict(state_dict=state))) == ['a']


def test_half_an_encoder_is_refused_and_nothing_changes(tmp_path):
    encoder = random_encoder()
    state = encoder.state_dict()
    del state['layers.4.attn.qkv.weight'], state['ln1.bias']
    torch.save(state, tmp_path / 'a.pth')
    found = encoder_recipe(config()).build()
    before = {k: v.clone() for k, v in found.state_dict().items()}
    with pytest.raises(ValueError, match='lacks 2 of the .* parameters'):
        load_encoder(found, str(tmp_path / 'a.pth'))
    assert all(torch.equal(v, before[k])
               for k, v in found.state_dict().items())
    with pytest.raises(ValueError, match='lacks 1 '):
        load_encoder(found, str(tmp_path / 'a.pth'), [r'^ln1\.'])
    torch.save({f'layer{i}.conv.weight': torch.ones(2, 2)
                for i in range(4)}, tmp_path / 'resnet.pth')
    with pytest.raises(ValueError, match='has 0 of the 66 keys'):
        load_encoder(found, str(tmp_path / 'resnet.pth'))
    with pytest.raises(ValueError, match='does not exist'):
        file_hash(tmp_path / 'none.pth')


def test_class_tokens_of_the_last_blocks():
    """As a ViT cut after each block would give them."""
    vit = built(encoder_recipe(config()))
    images = torch.randn(2, 3, 32, 32)
    tokens = encode(vit, images, 4)
    assert len(tokens.cls) == 4 and tokens.patches.shape == (2, 16, 24)
    found = {name: feature(tokens) for name, feature in FEATURES.items()}
    for row, depth in enumerate(range(2, 6)):
        cut = VisionTransformer(
            dict(ARCH, num_layers=depth), **SIZE, out_type='raw')
        cut.eval()
        cut.load_state_dict({
            k: v for k, v in vit.state_dict().items()
            if not k.startswith('layers.') or int(k.split('.')[1]) < depth})
        whole = cut(images)[0]
        torch.testing.assert_close(
            found['4cls'][:, 24 * row:24 * row + 24], whole[:, 0])
    torch.testing.assert_close(found['avg'], whole[:, 1:].mean(1))
    last = encode(vit, images)
    assert torch.equal(FEATURES['cls'](last), found['cls'])
    assert torch.equal(found['cls'], found['4cls'][:, 72:])
    assert torch.equal(FEATURES['avg'](last), found['avg'])
    assert torch.equal(pool(found, 'cls+avg'),
                       torch.cat([found['cls'], found['avg']], 1))
    assert features_for(['cls', 'avg', 'cls+avg']) == ['cls', 'avg']
    assert features_for(POOLINGS) == ['cls', 'avg', '4cls']
    with pytest.raises(ValueError, match="pooling mean is unknown"):
        features_for(['cls', 'mean'])
    with pytest.raises(ValueError, match='no class token'):
        FEATURES['cls'](Tokens(tokens.patches, [], 'Swin'))
    with pytest.raises(ValueError, match='has 5 blocks, from which 6'):
        encode(vit, images, 6)


@pytest.mark.parametrize('kind, options, wanted', [
    ('VisionTransformer', dict(arch='deit-tiny', out_type='raw'), True),
    ('VisionTransformer', dict(arch='deit-tiny', out_type='raw',
                               with_cls_token=False), False),
    ('ResNet', dict(depth=18), False),
    ('SwinTransformer', dict(arch='tiny'), False),
    ('sbam_mm.ConvViT', dict(arch='small'), False),
])
def test_who_has_a_class_token(kind, options, wanted):
    encoder = MODELS.build(dict(type=kind, **options))
    encoder.eval()
    assert has_class_token(encoder) is wanted
    with torch.no_grad():
        tokens = encode(encoder, torch.randn(1, 3, 224, 224))
    assert bool(tokens.cls) is wanted


class Images(torch.utils.data.Dataset):
    """Labelled noise."""

    def __init__(self, count=7):
        generator = torch.Generator().manual_seed(0)
        self.pixels = torch.randint(0, 256, (count, 3, 32, 32),
                                    generator=generator, dtype=torch.uint8)
        self.reads = 0

    def __len__(self):
        return len(self.pixels)

    def __getitem__(self, index):
        from mmpretrain.structures import DataSample
        self.reads += 1
        return dict(inputs=self.pixels[index],
                    data_samples=DataSample().set_gt_label(index % 3))


def test_cache_holds_the_features_and_is_read_once(tmp_path):
    recipe, data = encoder_recipe(config()), Images()
    backbone = recipe.build()
    encoder = FrozenEncoder(backbone, recipe.preprocessor(), batch_size=3)
    names = ['cls', 'avg']
    features, labels = cached_features(tmp_path, 'k', encoder, data, names)
    for name in names:
        expected, truth = extract_features(
            backbone, Images(), name, recipe.preprocessor())
        assert isinstance(features[name], np.memmap)
        assert features[name].dtype == np.float16
        np.testing.assert_allclose(features[name], expected, rtol=1e-3,
                                   atol=1e-3)
        assert torch.equal(labels, truth)
    again, _ = cached_features(tmp_path, 'k', encoder, data, names)
    assert data.reads == 7
    assert all(np.array_equal(again[name], features[name]) for name in names)
    cached_features(tmp_path, 'other', encoder, data, names)
    assert data.reads == 14


def test_a_cache_of_fewer_features_is_read_by_name(tmp_path, monkeypatch):
    """What is in it is not computed again, and takes nobody else's place."""
    recipe, data = encoder_recipe(config()), Images()
    encoder = FrozenEncoder(recipe.build(), recipe.preprocessor(),
                            batch_size=3)
    whole, _ = cached_features(
        tmp_path / 'whole', 'k', encoder, data, ['cls', 'avg', '4cls'])
    for name, reads in (('avg', 14), ('cls', 21)):
        cached_features(tmp_path, 'k', encoder, data, [name])
        assert data.reads == reads
    computed = []
    features = encoder.features
    monkeypatch.setattr(encoder, 'features', lambda batches, names: (
        computed.append(names), features(batches, names))[1])
    # A new feature, which comes first in the table and in the request.
    monkeypatch.setattr('sbam_mm.evaluation.features.FEATURES', {
        'max': lambda tokens: tokens.patches.amax(1), **FEATURES})
    names = ['max', '4cls', 'avg', 'cls']
    found, labels = cached_features(tmp_path, 'k', encoder, data, names)
    assert data.reads == 28 and computed == [['max', '4cls']]
    assert list(found) == names and len(labels) == 7
    for name in ('cls', 'avg', '4cls'):
        assert np.array_equal(found[name], whole[name])
    assert not np.array_equal(found['max'], whole['avg'])
    # Without its labels a cache is made anew.
    (tmp_path / 'k.labels.npy').unlink()
    cached_features(tmp_path, 'k', encoder, data, ['cls'])
    assert data.reads == 35 and computed[1:] == [['cls']]


def test_a_cache_in_rows_is_not_read(tmp_path):
    """Files of before, whose rows had no names, are left alone."""
    recipe = encoder_recipe(config())
    encoder = FrozenEncoder(recipe.build(), recipe.preprocessor())
    rows = np.zeros((7, 2, 24), np.float16)
    np.save(tmp_path / 'k.npy', rows)
    np.save(tmp_path / 'k.labels.npy', np.arange(7))
    found, _ = cached_features(tmp_path, 'k', encoder, Images(), ['avg'])
    assert found['avg'].shape == (7, 24) and found['avg'].any()
    assert np.array_equal(np.load(tmp_path / 'k.npy'), rows)


def test_a_diverged_encoder_leaves_no_file(tmp_path):
    recipe = encoder_recipe(config())
    backbone = recipe.build()
    backbone.ln1.bias.data[0] = 1e6
    encoder = FrozenEncoder(backbone, recipe.preprocessor(), batch_size=3)
    with pytest.raises(ValueError, match='half precision'):
        cached_features(tmp_path, 'k', encoder, Images(), ['cls'])
    assert not list(tmp_path.iterdir())
