# Copyright (c) OpenMMLab. All rights reserved.
"""Folders that transformers and timm load without us, to the same numbers."""
import json
from functools import partial

import numpy as np
import pytest
import torch
import yaml
from mmengine.config import Config
from PIL import Image
from started_tools import call_tool
from torch import nn

from sbam_mm.evaluation.encoders import encoder_recipe, file_hash
from sbam_mm.files import write_json
from sbam_mm.hub import stated_model
from sbam_mm.masking import RandomMasker
from sbam_mm.models.pretrained_encoder import load_encoder
from sbam_mm.registry import MODELS

pytestmark = pytest.mark.integration

ARCH = dict(embed_dims=24, num_layers=2, num_heads=3, feedforward_channels=72)


def config_of(size=32, channels=3, neck=(), head=(), **backbone):
    """An MAE's config; what is given replaces what it would have."""
    sizes = dict(img_size=size, patch_size=8)
    return Config(dict(
        model=dict(
            type='sbam_mm.MAE',
            backbone=dict(dict(
                type='sbam_mm.MaskedViT', arch=ARCH, in_channels=channels,
                **sizes), **backbone),
            masker=dict(type='sbam_mm.SBAM', ratio=0.5, delta_r=0.25),
            neck=dict(dict(
                type='sbam_mm.MAEDecoder', embed_dim=24,
                decoder_embed_dim=16, decoder_depth=1, decoder_num_heads=2,
                in_channels=channels, **sizes), **dict(neck)),
            head=dict(dict(type='sbam_mm.PixelHead', patch_size=8),
                      **dict(head))),
        data_preprocessor=dict(
            type='sbam_mm.SelfSupDataPreprocessor',
            mean=[10. * (1 + i) for i in range(channels)],
            std=[20. * (1 + i) for i in range(channels)],
            to_rgb=channels == 3),
        train_dataloader=dict(
            batch_size=8,
            dataset=dict(type='ImageFolder', data_root='/data/birds')),
        train_cfg=dict(by_epoch=True, max_epochs=4)))


def random_model(config, seed=0):
    torch.manual_seed(seed)
    model = MODELS.build(config.model)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter.data, std=0.2)
    return model.eval()


def save(path, model, config, **meta):
    torch.save(dict(
        state_dict=model.state_dict(),
        meta=dict(cfg=config.pretty_text, epoch=3, iter=60, **meta)), path)
    return path


class WithNoise(nn.Module):
    """A masker whose draws are given."""

    def __init__(self, masker, noise):
        super().__init__()
        self.masker, self.noise = masker, noise
        self.uniform, self.needs = masker.uniform, masker.needs

    def forward(self, context):
        return self.masker(context, self.noise)


@pytest.fixture
def convert():
    return partial(call_tool, 'convert_checkpoint')


@pytest.fixture(scope='session')
def transformers():
    return pytest.importorskip('transformers')


@pytest.fixture(scope='session')
def timm():
    return pytest.importorskip('timm')


def tokens_of(backbone, images):
    """The encoder's last tokens, class token first: (B, 1 + L, D)."""
    backbone.out_type = 'raw'
    with torch.no_grad():
        return backbone(images)[0]


def from_hf(kind, folder, **options):
    """A model of transformers, every weight of which comes from the folder."""
    model, report = kind.from_pretrained(
        folder, output_loading_info=True, **options)
    assert not report['missing_keys'] and not report['mismatched_keys']
    return model.eval(), report['unexpected_keys']


ENCODERS = {
    'usual': dict(),
    'no biases of q, k and v': dict(qkv_bias=False),
    'eps': dict(norm_cfg=dict(type='LN', eps=1e-3)),
    'eps of mmcv': dict(norm_cfg=dict(type='LN')),
    'positions that learn': dict(learned_position=True),
    'no square': dict(size=(16, 40)),
    'one channel': dict(channels=1),
    'four channels': dict(channels=4),
}


@pytest.mark.parametrize('name', ENCODERS)
def test_tokens_of_transformers(tmp_path, convert, transformers, name):
    config = config_of(**ENCODERS[name])
    model = random_model(config)
    path = save(tmp_path / 'x.pth', model, config)
    code, _, err = convert(path, tmp_path / 'vit', '--to', 'hf', '--part',
                           'encoder')
    assert code == 0, err
    vit, unexpected = from_hf(transformers.AutoModel, tmp_path / 'vit',
                              add_pooling_layer=False)
    assert type(vit).__name__ == 'ViTModel' and not unexpected
    size = model.backbone.img_size
    images = torch.randn(2, config.model.backbone.in_channels, *size)
    with torch.no_grad():
        theirs = vit(images).last_hidden_state
    torch.testing.assert_close(theirs, tokens_of(model.backbone, images),
                               rtol=0, atol=1e-5)
    if vit.config.num_channels in (1, 3):
        with torch.no_grad():
            images = transformers.AutoImageProcessor.from_pretrained(
                tmp_path / 'vit')
        white = torch.full((vit.config.num_channels, *size), 255,
                           dtype=torch.uint8)
        shown = images(white, return_tensors='pt')['pixel_values'][0]
        mean = torch.tensor(config.data_preprocessor.mean)
        std = torch.tensor(config.data_preprocessor.std)
        assert shown.shape[1:] == size
        torch.testing.assert_close(shown[:, 0, 0], (255 - mean) / std)


TIMM_ENCODERS = {
    **{name: options for name, options in ENCODERS.items()
       if not name.startswith('eps')},
    'layer scale': dict(layer_scale_init_value=0.5),
    'norm before': dict(pre_norm=True),
}


@pytest.mark.parametrize('name', TIMM_ENCODERS)
def test_tokens_of_timm(tmp_path, convert, timm, name):
    config = config_of(**TIMM_ENCODERS[name])
    model = random_model(config)
    path = save(tmp_path / 'x.pth', model, config)
    code, _, err = convert(path, tmp_path / 'vit', '--to', 'timm')
    assert code == 0, err
    vit = timm.create_model(f'local-dir:{tmp_path}/vit', pretrained=True)
    size = model.backbone.img_size
    images = torch.randn(2, config.model.backbone.in_channels, *size)
    with torch.no_grad():
        theirs = vit.eval().forward_features(images)
    torch.testing.assert_close(theirs, tokens_of(model.backbone, images),
                               rtol=0, atol=1e-5)
    said = timm.data.resolve_data_config(model=vit)
    assert said['input_size'] == (images.shape[1], *size)
    assert tuple(said['mean']) == tuple(
        mean / 255 for mean in config.data_preprocessor.mean)
    # And back: evaluate.py builds the encoder as the folder says.
    assert_evaluated(tmp_path / 'vit', images, theirs)


def assert_evaluated(folder, images, tokens):
    """evaluate.py's encoder of a folder gives these tokens."""
    recipe = encoder_recipe(Config(dict(model=stated_model(folder))))
    backbone = recipe.build()
    backbone.eval()
    load_encoder(backbone, folder)
    torch.testing.assert_close(tokens_of(backbone, images), tokens,
                               rtol=0, atol=1e-5)
    return recipe


@pytest.mark.parametrize('norm_pix', [True, False])
def test_loss_of_transformers(tmp_path, convert, transformers, norm_pix):
    config = config_of(head=dict(norm_pix=norm_pix))
    model = random_model(config)
    path = save(tmp_path / 'x.pth', model, config)
    assert convert(path, tmp_path / 'mae', '--to', 'hf')[0] == 0
    mae, unexpected = from_hf(transformers.ViTMAEForPreTraining,
                              tmp_path / 'mae')
    assert not unexpected and mae.config.mask_ratio == 0.5
    images, noise = torch.randn(2, 3, 32, 32), torch.rand(2, 16)
    model.masker = WithNoise(RandomMasker(0.5), noise)
    with torch.no_grad():
        theirs = mae(images, noise=noise)
        ours = model.loss(images)['loss']
    assert theirs.mask.sum() == 16
    torch.testing.assert_close(theirs.loss, ours, rtol=1e-5, atol=0)
    # The encoder in it, as AutoModel and evaluate.py see it.
    auto = transformers.AutoModel.from_pretrained(tmp_path / 'mae')
    assert type(auto).__name__ == 'ViTMAEModel'
    vit, unexpected = from_hf(transformers.ViTModel, tmp_path / 'mae',
                              add_pooling_layer=False)
    assert all(key.startswith('decoder.') for key in unexpected)
    with torch.no_grad():
        tokens = vit(images).last_hidden_state
    torch.testing.assert_close(tokens, tokens_of(model.backbone, images),
                               rtol=0, atol=1e-5)
    assert_evaluated(tmp_path / 'mae', images, tokens)
    # And back into ours, bit for bit.
    convert(tmp_path / 'mae', tmp_path / 'y.pth', '--to', 'ours')
    back = torch.load(tmp_path / 'y.pth')['state_dict']
    assert set(back) == set(model.state_dict())
    assert all(torch.equal(back[key], value)
               for key, value in model.state_dict().items())


def test_official_file_with_a_config(tmp_path, convert, transformers):
    """Its own weights say nothing of heads; the config's do."""
    config = config_of()
    model = random_model(config)
    convert(save(tmp_path / 'x.pth', model, config), tmp_path / 'mae.pth',
            '--to', 'mae')
    _, _, err = convert(tmp_path / 'mae.pth', tmp_path / 'out', '--to', 'hf')
    assert 'does not carry the config' in err and '--config' in err
    (tmp_path / 'config.py').write_text(config.pretty_text)
    assert convert(tmp_path / 'mae.pth', tmp_path / 'out', '--to', 'hf',
                   '--config', tmp_path / 'config.py')[0] == 0
    mae, _ = from_hf(transformers.ViTMAEForPreTraining, tmp_path / 'out')
    assert mae.config.decoder_num_attention_heads == 2
    # mmpretrain's config of the same.
    config.model.update(
        type='MAE',
        backbone=dict(type='MAEViT', arch=ARCH, img_size=32, patch_size=8,
                      mask_ratio=0.25),
        neck=dict(type='MAEPretrainDecoder', decoder_num_heads=4),
        head=dict(type='MAEPretrainHead', patch_size=8, loss=dict(
            type='PixelReconstructionLoss', criterion='L2')))
    del config.model['masker']
    (tmp_path / 'theirs.py').write_text(config.pretty_text)
    assert convert(tmp_path / 'mae.pth', tmp_path / 'new', '--to', 'hf',
                   '--config', tmp_path / 'theirs.py')[0] == 0
    mae, _ = from_hf(transformers.ViTMAEForPreTraining, tmp_path / 'new')
    assert mae.config.decoder_num_attention_heads == 4
    assert mae.config.mask_ratio == 0.25 and not mae.config.norm_pix_loss


def test_teacher_of_self_distillation(tmp_path, convert, timm):
    config = config_of()
    student = random_model(config).backbone
    teacher = random_model(config, seed=1).backbone
    config.model.type = 'sbam_mm.iBOT'
    state = {f'{prefix}backbone.{key}': value
             for prefix, vit in (('', student),
                                 ('momentum_teacher.module.', teacher))
             for key, value in vit.state_dict().items()}
    torch.save(dict(state_dict=state, meta=dict(cfg=config.pretty_text)),
               tmp_path / 'x.pth')
    images = torch.randn(1, 3, 32, 32)
    for branch, vit in (('teacher', teacher), ('student', student)):
        convert(tmp_path / 'x.pth', tmp_path / branch, '--to', 'timm',
                '--branch', branch)
        model = timm.create_model(f'local-dir:{tmp_path}/{branch}',
                                  pretrained=True).eval()
        with torch.no_grad():
            theirs = model.forward_features(images)
        torch.testing.assert_close(theirs, tokens_of(vit, images), rtol=0,
                                   atol=1e-5)


def results_of(path, **changes):
    return dict(dict(
        checkpoint=dict(name='x.pth', sha256=file_hash(path),
                        branch='teacher'),
        data=dict(root='/data/birds', classes=3, train=30, test=9),
        protocols=dict(
            knn=dict(top1={'avg, k=10': 41.25, 'avg, k=20': None}),
            linear=dict(top1={'lr 1': 40., 'lr 2': 50.}, best='lr 2'))),
        **changes)


def card_of(folder):
    text = (folder / 'README.md').read_text()
    head, page = text.split('---\n')[1:3]
    return yaml.safe_load(head), page


def test_model_card(tmp_path, convert, monkeypatch, transformers, timm):
    config = config_of()
    path = save(tmp_path / 'x.pth', random_model(config), config, seed=7)
    for name, changes in (('a', dict()), ('b', dict(
            checkpoint=dict(sha256='0', branch='teacher')))):
        write_json(tmp_path / name / 'results.json',
                   results_of(path, **changes))
    monkeypatch.chdir(tmp_path)
    for folder, to in (('mae', 'hf'), ('vit', 'hf'), ('vit-timm', 'timm')):
        part = 'encoder' if folder == 'vit' else 'all'
        code, _, err = convert('x.pth', folder, '--to', to, '--part', part)
        assert code == 0, err
        head, page = card_of(tmp_path / folder)
        # Nobody has said under which licence.
        assert 'license' not in head and 'licen' not in page
        assert head['library_name'] == dict(
            hf='transformers', timm='timm')[to]
        for words in ('sbam_mm.SBAM(delta_r=0.25, ratio=0.5)', 'birds',
                      'epochs: 3 of 4', 'iterations: 60', 'seed: 7',
                      'step and process: 8', file_hash(path), '41.25',
                      '50.00', '3 classes, 30 + 9 images'):
            assert words in page, words
        assert page.count('| knn') == 1 and '40.00' not in page
        assert ("MAE's decoder" in page) == (folder == 'mae')
        # The code on the card runs where the folder is.
        space = {}
        exec(page.split('```python\n')[1].split('```')[0], space)
        assert space['tokens'].shape == (1, 17, 24)
    assert convert('x.pth', 'new', '--to', 'timm', '--license',
                   'cc-by-nc-4.0')[0] == 0
    assert card_of(tmp_path / 'new')[0]['license'] == 'cc-by-nc-4.0'
    # Named results must be the checkpoint's.
    code, _, err = convert('x.pth', 'other', '--to', 'timm', '--results',
                           'elsewhere/results.json')
    assert code == 2 and 'do not exist' in err
    write_json('elsewhere/more/results.json', results_of(
        path, checkpoint=dict(sha256='0', branch='teacher')))
    code, _, err = convert('x.pth', 'other', '--to', 'timm', '--results',
                           'elsewhere/more/results.json')
    assert code == 2 and 'another checkpoint' in err
    assert not (tmp_path / 'other').exists()


REFUSED = {
    'relative positions': (
        'hf', dict(type='sbam_mm.MaskedBEiT'), 'a MaskedBEiT'),
    'ConvMAE': ('timm', dict(type='sbam_mm.MaskedConvViT'), 'MaskedConvViT'),
    'blocks of another kind': (
        'hf', dict(layer_cfgs=dict(act_cfg=dict(type='ReLU'))), 'layer_cfgs'),
    'no norm at the end': ('hf', dict(final_norm=False), 'final_norm'),
    'other heads': (
        'hf', dict(arch=dict(ARCH, num_heads=5)), '24 wide, and its config'),
    'another image size': ('hf', dict(img_size=64), '16 positions'),
    'layer scale': (
        'hf', dict(layer_scale_init_value=1.), 'has no names for'),
    'eps': ('timm', dict(norm_cfg=dict(type='LN', eps=1e-12)),
            'eps 1e-12, and those of timm'),
    'eps of the decoder': (
        'hf', dict(norm_cfg=dict(type='LN', eps=1e-12)), 'another eps'),
    'L1': ('hf', dict(head=dict(criterion='L1')), 'criterion L1'),
    'no square': ('hf', dict(size=(16, 40)), 'no squares'),
    'no config of a ViT': ('hf', dict(img_size='no'), 'the config is not'),
}


@pytest.mark.parametrize('name', REFUSED)
def test_what_has_no_word_there(tmp_path, convert, name):
    to, options, words = REFUSED[name]
    config = config_of(**options)
    built = {key: value for key, value in options.items()
             if key in ('layer_scale_init_value', 'size', 'norm_cfg')}
    path = save(tmp_path / 'x.pth', random_model(config_of(**built)), config)
    code, _, err = convert(path, tmp_path / 'out', '--to', to)
    assert code == 2 and words in err, err
    assert err.startswith('error: ') and len(err.splitlines()) == 1
    assert [one.name for one in tmp_path.iterdir()] == ['x.pth']


def test_segment_bias_and_colours_are_refused(tmp_path, convert):
    config = config_of()
    model = random_model(config)
    state = dict(model.state_dict())
    state['backbone.segment_bias.u_pos'] = torch.ones(2)
    torch.save(dict(state_dict=state, meta=dict(cfg=config.pretty_text)),
               tmp_path / 'x.pth')
    assert 'learned segment bias' in convert(
        tmp_path / 'x.pth', tmp_path / 'out', '--to', 'hf')[2]
    config.data_preprocessor.to_rgb = False
    save(tmp_path / 'x.pth', model, config)
    assert 'not made RGB' in convert(
        tmp_path / 'x.pth', tmp_path / 'out', '--to', 'hf')[2]


def test_folder_is_complete_or_absent(tmp_path, convert, monkeypatch):
    config = config_of()
    path = save(tmp_path / 'x.pth', random_model(config), config)

    def full(*_):
        raise OSError(28, 'No space left on device')

    with monkeypatch.context() as patch:
        patch.setattr('sbam_mm.files.put_in_place', full)
        assert convert(path, tmp_path / 'out', '--to', 'timm')[0] == 2
    assert [one.name for one in tmp_path.iterdir()] == ['x.pth']
    (tmp_path / 'out').mkdir()  # empty, so nothing is lost
    assert convert(path, tmp_path / 'out', '--to', 'timm')[0] == 0
    before = file_hash(tmp_path / 'out')
    for target in ('out', 'out/'):
        code, _, err = convert(path, f'{tmp_path}/{target}', '--to', 'hf')
        assert code == 2 and 'exists already' in err
    assert file_hash(tmp_path / 'out') == before
    assert sorted(one.name for one in (tmp_path / 'out').iterdir()) == [
        'README.md', 'config.json', 'model.safetensors']


def test_evaluate_takes_the_folder(tmp_path, convert):
    """The same votes as of the checkpoint with its config."""
    config = config_of()
    path = save(tmp_path / 'x.pth', random_model(config), config)
    (tmp_path / 'config.py').write_text(config.pretty_text)
    rng = np.random.default_rng(0)
    for i in range(60):
        file = tmp_path / f'images/{("train", "test")[i % 2]}/{i % 3}/{i}.png'
        file.parent.mkdir(parents=True, exist_ok=True)
        noise = rng.integers(40 * (i % 3), 256, (32, 32, 3), np.uint8)
        Image.fromarray(noise).save(file)
    found = {}
    for to in ('hf', 'timm'):
        assert convert(path, tmp_path / to, '--to', to).code == 0
    for name, more in (('x.pth', ('--config', tmp_path / 'config.py')),
                       ('hf', ()), ('timm', ())):
        ended = call_tool(
            'evaluate', tmp_path / name, '--data', tmp_path / 'images',
            '--out', tmp_path / f'out_{name}', '--workers', 0, '--set',
            'knn.k=[1,5]', *more)
        assert ended.code == 0, ended.err
        results = json.loads(
            (tmp_path / f'out_{name}/results.json').read_text())
        found[name] = results['protocols']['knn']['top1']
    assert found['hf'] == found['timm'] == found['x.pth']
    # Evaluated there, the results are on the card of the next folder.
    convert(path, tmp_path / 'again', '--to', 'timm')
    _, page = card_of(tmp_path / 'again')
    assert page.count('knn, ') == 4
    assert f'{max(found["hf"].values()):.2f}' in page
