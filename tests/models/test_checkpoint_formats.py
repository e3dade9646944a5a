# Copyright (c) OpenMMLab. All rights reserved.
"""Official files give the official numbers, and come back unchanged."""
import argparse
import subprocess

import golden_files
import pytest
import torch
from safetensors.torch import save_file
from test_mae import WithNoise, official
from torch.nn.functional import pad

from sbam_mm.masking import RandomMasker
from sbam_mm.models import MaskedViT
from sbam_mm.models.checkpoint import (
    load_weights,
    read_checkpoint,
    state_dict_of,
    write_weights,
)
from sbam_mm.models.checkpoint_formats import (
    FORMATS,
    from_ours,
    recognise,
    to_ours,
)
from sbam_mm.models.teachers import FrozenTeacher
from sbam_mm.registry import MODELS

pytestmark = pytest.mark.unit

TINY = dict(
    type='sbam_mm.MaskedViT',
    arch=dict(
        embed_dims=24, num_layers=2, num_heads=3, feedforward_channels=96),
    img_size=32,
    patch_size=8)


def weights(golden):
    return {
        key[3:]: value
        for key, value in golden.items() if key.startswith('sd/')
    }


def vit(**options):
    return MODELS.build(dict(TINY, **options))


def encoder_of(name):
    """Weights of a tiny encoder under the names of a project's file."""
    timm = weights(golden_files.load('timm_vit'))
    timm = {key: timm[key] for key in timm if '.ls' not in key}
    bare = {key: timm[key] for key in timm if not key.startswith('head.')}
    backbone = {f'backbone.{key}': value for key, value in bare.items()}
    head = {'head.mlp.0.weight': torch.ones(2), 'head.last_layer.weight_g': 1}
    student = {
        f'module.{key}': torch.zeros_like(value)
        for key, value in backbone.items()
    }
    args = argparse.Namespace(arch='vit_tiny', lr=1e-3)
    return {
        'mae': dict(model=bare),
        'timm': timm,
        'dino': dict(
            teacher={**backbone, **head},
            student={**student, 'module.backbone.masked_embed': torch.ones(2)},
            args=args, epoch=800, ibot_loss=dict(center=torch.ones(2))),
        'dino published': bare,
        'ibot published': dict(state_dict=bare),
        'hf': weights(golden_files.load('hf_vit')),
        'ours': dict(state_dict=to_ours(bare).state),
        'mmpretrain': {
            key[9:]: value
            for key, value in to_ours(bare).state.items()
        },
    }[name]


ENCODERS = ('mae', 'timm', 'dino', 'dino published', 'ibot published', 'hf',
            'ours', 'mmpretrain')


@pytest.mark.parametrize('name, options', [
    ('timm_vit', dict(layer_scale_init_value=1.)),
    ('hf_vit', dict(norm_cfg=dict(type='LN', eps=1e-12))),
])
def test_features_of_the_reference(tmp_path, name, options):
    golden = golden_files.load(name)
    model = vit(**options)
    save_file(weights(golden), tmp_path / 'x.safetensors')
    report = load_weights(model, tmp_path / 'x.safetensors', min_share=1.)
    assert report.share == 1 and not report.unexpected
    model.eval()
    features, = model(golden['images'])
    torch.testing.assert_close(
        features, golden['features'], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize('norm_pix', [False, True])
def test_mae_with_an_official_file(tmp_path, tiny_mae, norm_pix):
    golden = golden_files.load('mae_forward')
    model = official(golden, tiny_mae, RandomMasker(0.75), norm_pix)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter.data)
    args = argparse.Namespace(mask_ratio=0.75)
    torch.save(
        dict(model=weights(golden), args=args, epoch=799), tmp_path / 'x.pth')
    assert load_weights(model, tmp_path / 'x.pth').share == 1
    loss = model.loss(golden['images'])['loss']
    name = 'norm_pix' if norm_pix else 'raw_pix'
    torch.testing.assert_close(loss, golden[f'{name}/loss'], rtol=1e-5, atol=0)


def test_mae_of_hugging_face():
    golden = golden_files.load('hf_vit_mae')
    size = dict(img_size=32, patch_size=8)
    eps = dict(norm_cfg=dict(type='LN', eps=1e-12))
    for norm_pix, name in ((False, 'loss'), (True, 'loss_norm_pix')):
        model = MODELS.build(
            dict(
                type='sbam_mm.MAE',
                backbone=dict(TINY, **eps),
                masker=WithNoise(RandomMasker(0.75), golden['noise']),
                neck=dict(
                    type='sbam_mm.MAEDecoder', embed_dim=24,
                    decoder_embed_dim=16, decoder_depth=2,
                    decoder_num_heads=2, **size, **eps),
                head=dict(
                    type='sbam_mm.PixelHead', patch_size=8,
                    norm_pix=norm_pix)))
        state = to_ours(weights(golden)).state
        model.load_state_dict(state, strict=True)
        tokens = model.backbone.embed(golden['images'])
        mask = model.mask(tokens, golden['images'])
        assert torch.equal(mask.masked, golden['mask'].bool())
        prediction = model.neck(model.backbone.encode(tokens, mask), mask)
        torch.testing.assert_close(
            prediction, golden['logits'], rtol=1e-5, atol=2e-5)
        torch.testing.assert_close(
            model.loss(golden['images'])['loss'], golden[name], rtol=1e-5,
            atol=0)


@pytest.mark.parametrize('golden, target', [
    ('timm_vit', 'timm'), ('timm_vit', 'dino'), ('hf_vit_mae', 'hf'),
    ('mae_forward', 'mae'), ('hf_vit_mae', 'mae'), ('mae_forward', 'hf'),
])
def test_there_and_back(golden, target):
    theirs = weights(golden_files.load(golden))
    read = to_ours(theirs)
    written = from_ours(read.state, target)
    back = to_ours(written.state)
    assert not written.dropped and not back.dropped
    assert set(back.state) == set(read.state)
    for key, value in read.state.items():
        assert torch.equal(back.state[key], value)
    if read.format == target:
        assert set(written.state) | set(read.dropped) == set(theirs)
        assert set(read.dropped) <= {'head.weight', 'head.bias'}
        for key, value in written.state.items():
            assert torch.equal(value, theirs[key])


def test_names_that_transformers_5_uses():
    """In memory and, for the decoder, in files."""
    theirs = weights(golden_files.load('hf_vit_mae'))
    spellings = [('vit.encoder.layer.', 'vit.layers.'),
                 ('attention.attention.query', 'attention.q_proj'),
                 ('attention.attention.key', 'attention.k_proj'),
                 ('attention.attention.value', 'attention.v_proj'),
                 ('attention.output.dense', 'attention.o_proj'),
                 ('intermediate.dense', 'mlp.fc1'),
                 ('output.dense', 'mlp.fc2')]
    new = {}
    for key, value in theirs.items():
        for old, spelling in spellings:
            key = key.replace(old, spelling)
        new[key] = value
    saved = {
        key.replace('decoder_layers', 'decoder_encoder.layer'): value
        for key, value in theirs.items()
    }
    wanted = to_ours(theirs).state
    for state in (new, saved):
        assert set(state) != set(theirs)
        found = to_ours(state).state
        assert set(found) == set(wanted)
        assert all(torch.equal(found[key], wanted[key]) for key in wanted)


@pytest.mark.parametrize('name', ENCODERS)
@pytest.mark.parametrize('suffix', ['.pth', '.safetensors'])
def test_teacher_of_every_format(tmp_path, name, suffix):
    path = str(tmp_path / f'x{suffix}')
    content = encoder_of(name)
    if suffix == '.safetensors':
        content = state_dict_of(content)
    write_weights(path, content)
    teacher = FrozenTeacher(dict(TINY), path)
    source = 'hf_vit' if name == 'hf' else 'timm_vit'
    wanted = to_ours(weights(golden_files.load(source))).state
    for key, value in teacher.state_dict().items():
        assert torch.equal(value, wanted[key]), key
    images = torch.randn(2, 3, 32, 32)
    received = teacher.attention(images, (4, 4), -1)
    assert received.shape == (2, 3, 16) and received.sum() <= 2 * 3


def test_branch():
    checkpoint = encoder_of('dino')
    done = to_ours(state_dict_of(checkpoint))
    assert done.format == 'dino' and done.dropped == ['head.mlp.0.weight']
    student = to_ours(state_dict_of(checkpoint, branch='student'))
    assert student.dropped == ['backbone.masked_embed']
    assert set(student.state) == set(done.state)
    assert all((value == 0).all() for value in student.state.values())
    with pytest.raises(ValueError, match="branch='mean' is unknown"):
        state_dict_of(checkpoint, branch='mean')


def test_teacher_of_our_own_distillation_is_written():
    """What the papers evaluate; the student on demand."""
    encoder = to_ours(encoder_of('timm')).state
    own = {
        **{key: torch.zeros_like(value) for key, value in encoder.items()},
        **{f'momentum_teacher.module.{key}': value
           for key, value in encoder.items()},
        'momentum_teacher.steps': torch.ones(1),
        'head.last.weight': torch.ones(1)}
    for branch in ('teacher', 'student'):
        written = from_ours(own, 'timm', branch=branch)
        assert len(written.state) == len(encoder)
        assert len(written.state) + len(written.dropped) == len(own)
        zero = all((value == 0).all() for value in written.state.values())
        assert zero == (branch == 'student')
    assert from_ours(own, 'ours').state == own


def test_position_embedding_is_resized():
    model = vit(img_size=48)
    state = encoder_of('timm')
    grid = state['pos_embed'][:, 1:]
    grid[:] = grid.mean(dim=1, keepdim=True)
    model.load_state_dict(
        {key[9:]: value for key, value in to_ours(state).state.items()})
    assert model.pos_embed.shape == (1, 37, 24)
    torch.testing.assert_close(model.pos_embed[:, :1],
                               state['pos_embed'][:, :1])
    torch.testing.assert_close(
        model.pos_embed[:, 1:], grid[:, :1].expand(-1, 36, -1))


def test_order_of_signs():
    assert recognise(weights(golden_files.load('mae_forward'))) == 'mae'
    assert [recognise(state_dict_of(encoder_of(name))) for name in ENCODERS
            ] == ['timm', 'timm', 'dino', 'timm', 'timm', 'hf', 'ours', 'ours']
    assert recognise(dict(a=torch.ones(1))) is None


def refused(action, *words):
    with pytest.raises(ValueError) as error:
        action()
    message = str(error.value)
    assert all(word in message for word in words), message
    assert '\n' not in message and message.endswith('.')


@pytest.mark.parametrize('name', ['timm', 'hf'])
def test_keys_left_over(tmp_path, name):
    state = dict(encoder_of(name), prompt_token=torch.zeros(1, 4, 24))
    write_weights(str(tmp_path / 'x.pth'), state)
    refused(lambda: FrozenTeacher(dict(TINY), str(tmp_path / 'x.pth')),
            'x.pth', 'prompt_token', FORMATS[name].title)


def test_torn_attention():
    state = weights(golden_files.load('hf_vit'))
    del state['encoder.layer.1.attention.attention.key.bias']
    refused(lambda: to_ours(state), 'backbone.layers.1.attn.qkv.bias')


@pytest.mark.parametrize('options, words', [
    (dict(arch=dict(TINY['arch'], num_layers=1)),
     'another depth: it has 2 backbone.layers, the model 1'),
    (dict(arch=dict(TINY['arch'], num_layers=3)),
     'another depth: it has 2 backbone.layers, the model 3'),
    (dict(arch=dict(TINY['arch'], embed_dims=36)), 'of other sizes'),
    (dict(patch_size=4), 'of other sizes'),
])
def test_other_sizes(tmp_path, options, words):
    write_weights(str(tmp_path / 'x.pth'), encoder_of('timm'))
    refused(lambda: FrozenTeacher(
        dict(TINY, **options), str(tmp_path / 'x.pth')), words)


def test_positions_without_class_token(tmp_path):
    """DeiT III in timm; they are no grid that could be resized."""
    state = encoder_of('timm')
    state['pos_embed'] = state['pos_embed'][:, 1:]
    write_weights(str(tmp_path / 'x.pth'), state)
    refused(lambda: load_weights(vit(), tmp_path / 'x.pth'), 'pos_embed')


@pytest.mark.parametrize('extra, option', [
    ({f'blocks.{i}.ls1.gamma': torch.ones(24) for i in range(2)},
     'layer_scale_init_value'),
    ({'norm_pre.weight': torch.ones(24)}, 'pre_norm=True'),
    ({'fc_norm.weight': torch.ones(24)}, 'avg_featmap'),
])
def test_parts_that_the_model_lacks(tmp_path, extra, option):
    write_weights(str(tmp_path / 'x.pth'), dict(encoder_of('timm'), **extra))
    refused(lambda: FrozenTeacher(dict(TINY), str(tmp_path / 'x.pth')),
            'which the encoder lacks; build it with', option)


def test_decoder_that_has_no_names():
    state = to_ours(weights(golden_files.load('mae_forward'))).state
    state['neck.strange.weight'] = torch.ones(1)
    refused(lambda: from_ours(state, 'mae'), 'neck.strange.weight')
    assert 'neck.strange.weight' in from_ours(state, 'mae', 'encoder').dropped
    refused(lambda: from_ours({'neck.a': torch.ones(1)}, 'mae'), 'no encoder')
    refused(lambda: from_ours(state, 'keras'), "'keras'", 'mae, dino, timm')


class Attack:
    """Unpickled without care, this starts a process."""

    def __reduce__(self):
        return subprocess.getoutput, ('true', )


def test_pickle_only_on_request(tmp_path):
    path = str(tmp_path / 'x.pth')
    torch.save(dict(model=encoder_of('timm'), scaler=Attack()), path)
    refused(lambda: FrozenTeacher(dict(TINY), path), 'could run code',
            '--trust-pickle')
    assert load_weights(vit(), path, trust_pickle=True).share == 1
    assert set(read_checkpoint(path, trust_pickle=True)) == {
        'model', 'scaler'}


def test_views_do_not_drag_their_storage(tmp_path):
    state = to_ours(weights(golden_files.load('hf_vit'))).state
    for value in from_ours(state, 'hf').state.values():
        assert value.untyped_storage().nbytes() == value.nbytes
    write_weights(str(tmp_path / 'x.safetensors'),
                  dict(a=pad(torch.ones(2, 2), (0, 1)).t()))
    back = read_checkpoint(str(tmp_path / 'x.safetensors'))
    assert torch.equal(back['a'], pad(torch.ones(2, 2), (0, 1)).t())


def test_backbone_itself_takes_every_prefix(tmp_path):
    """A teacher, a model and a bare encoder differ in the prefix only."""
    for name in ENCODERS:
        write_weights(str(tmp_path / 'x.pth'), encoder_of(name))
        model = vit()
        assert isinstance(model, MaskedViT)
        assert load_weights(model, tmp_path / 'x.pth', 1.).share == 1
