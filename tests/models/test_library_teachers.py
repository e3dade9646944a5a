# Copyright (c) OpenMMLab. All rights reserved.
"""ViTs of timm and transformers as teachers, against the libraries' own maps.

Weights are random, and biases, layer scales and tables too, so that every
part of an architecture shows in its attention.
"""
import sys

import pytest
import safetensors.torch
import torch
from library_vits import (
    HF,
    NORMALISATION,
    SIZES,
    SMALL,
    hf_folder,
    randomise,
)

from sbam_mm.attention import on_grid
from sbam_mm.errors import UserError
from sbam_mm.extra_libraries import extra_library
from sbam_mm.masking import functional as F
from sbam_mm.models.teachers import (
    FrozenTeacher,
    HFTeacher,
    TimmTeacher,
    teacher_config,
)
from sbam_mm.registry import MODELS

pytestmark = pytest.mark.unit
# timm's names, and the extra tokens.
TIMM = {
    'vit_tiny_patch16_224': 1,
    'deit_tiny_distilled_patch16_224': 2,
    'vit_small_patch14_dinov2': 1,
    'vit_small_patch14_reg4_dinov2': 5,
    'vit_small_patch16_dinov3': 5,
    'vit_base_patch16_clip_224': 1,
    'vit_base_patch16_siglip_224': 0,
    'beit_base_patch16_224': 1,
    'vit_base_patch16_224.mae': 1,
    'eva02_tiny_patch14_224': 1,
}


def sums(maps, extra, queries, own_query):
    """Rows or sums of whole maps (B, heads, N, N), as maskers ask."""
    if queries == 'cls':
        return maps[:, :, 0, extra:]
    if not own_query:
        maps = maps - torch.diag_embed(maps.diagonal(dim1=2, dim2=3))
    first = extra if queries == 'patches' else 0
    return maps[:, :, first:].sum(2)[..., extra:]


def compare(teacher, maps, images, extra, grid):
    for queries in ('cls', 'patches', 'all'):
        if queries == 'cls' and not teacher.has_class_token:
            with pytest.raises(ValueError, match="queries='all'"):
                teacher.attention(images, grid, 0)
            continue
        for own_query in (True, False):
            for block in range(3):
                torch.testing.assert_close(
                    teacher.attention(images, grid, block, queries,
                                      own_query=own_query),
                    sums(maps[block], extra, queries, own_query),
                    rtol=1e-5, atol=1e-5)
    # Heads are told apart, and maps are not flat.
    assert all(one.std(dim=1).mean() > 1e-3 for one in maps)


@pytest.mark.parametrize('name', HF)
def test_attention_is_that_of_transformers(name, tmp_path):
    model = hf_folder(name, tmp_path)
    images = torch.randn(2, 3, 32, 32)
    options = {}
    if name == 'MAE':
        options['noise'] = torch.arange(16.).expand(2, -1)
    with torch.no_grad():
        maps = model(images, output_attentions=True, **options).attentions
    teacher = HFTeacher(str(tmp_path))
    compare(teacher, maps, images, HF[name][2], (4, 4))


def timm_maps(model, images):
    """Of all blocks, with timm's eager attention."""
    maps = []
    for block in model.blocks:
        block.attn.fused_attn = False
        block.attn.attn_drop.register_forward_pre_hook(
            lambda _, inputs: maps.append(inputs[0]))
    with torch.no_grad():
        model.forward_features(images)
    return maps


@pytest.mark.parametrize('name', TIMM)
def test_attention_is_that_of_timm(name, tmp_path):
    timm = pytest.importorskip('timm')
    patch = 14 if 'patch14' in name else 16
    options = dict(SMALL, img_size=4 * patch)
    model = randomise(timm.create_model(name, num_classes=0, **options))
    path = tmp_path / 'weights.safetensors'
    safetensors.torch.save_file(model.state_dict(), path)
    images = torch.randn(2, 3, 4 * patch, 4 * patch)
    teacher = TimmTeacher(name, str(path), **options)
    compare(teacher, timm_maps(model, images), images, TIMM[name], (4, 4))


def tiny_student(tiny_mae, teacher, masker):
    """A MAE of 4 x 4 patches of 8 pixels, with a teacher."""
    plain = tiny_mae('RandomMasker')
    model = MODELS.get('sbam_mm.MAE')(
        backbone=plain.backbone, neck=plain.neck, head=plain.head,
        masker=masker, teacher=teacher)
    model.init_weights()
    return model


AMR = dict(
    type='sbam_mm.Masker',
    salience=dict(
        type='sbam_mm.AttentionSalience', source='teacher', queries='all'),
    ratio=dict(type='sbam_mm.AdaptiveRatio', ratio=.5, delta_r=.25, delta=.1),
    selection=dict(type='sbam_mm.NoisyTopK', noise=0.))


@pytest.mark.parametrize('masker, question, high', [
    (dict(type='sbam_mm.AttMask', ratio=.75, probability=1.), (-1, ), True),
    (dict(type='sbam_mm.GPA', block=1, head='sum', hard=(1., 1.),
          soft=(0., 0.)), (1, 'patches', False, False), True),
    (dict(type='sbam_mm.MILANMasker'), (-1, ), False),
    (AMR, (-1, 'all'), True),
], ids=['AttMask', 'GPA', 'MILAN', 'AMR'])
def test_maskers_ask_it_and_it_stays(tiny_mae, tmp_path, masker, question,
                                     high):
    hf_folder('DINOv2 with registers', tmp_path)
    model = tiny_student(
        tiny_mae, dict(type='sbam_mm.HFTeacher', model=str(tmp_path)),
        masker).train()
    images = torch.rand(4, 3, 32, 32)
    images[:2] *= 5  # some with a few that stand out
    before = {k: v.clone() for k, v in model.teacher.state_dict().items()}
    optimizer = torch.optim.SGD(
        [p for p in model.parameters() if p.requires_grad], lr=.1)
    losses = model.loss(images)
    losses['loss'].backward()
    optimizer.step()
    for key, value in model.teacher.state_dict().items():
        assert torch.equal(value, before[key])
    assert not any(part.training for part in model.teacher.modules())
    # Hidden patches are those with more, or less, of the asked attention.
    mask = model.mask(model.embed(images), images)
    received = model.teacher.attention(
        model.teacher.as_its_own(images, model), (4, 4), *question).sum(1)
    torch.testing.assert_close(
        mask.scores, F.min_max(received), rtol=1e-4, atol=1e-5)
    hidden = (received * mask.masked).sum(1) / mask.masked.sum(1)
    shown = (received * mask.visible).sum(1) / mask.visible.sum(1)
    if high:
        assert (hidden > shown).all()
    if masker is AMR:
        assert len(set(mask.visible_counts.tolist())) > 1


def test_it_sees_its_own_pixels(tiny_mae, tmp_path):
    """Patches of another size and another normalisation, as FrozenTeacher."""
    model = hf_folder('ViT', tmp_path)
    student = tiny_student(
        tiny_mae, dict(type='sbam_mm.HFTeacher', model=str(tmp_path)),
        dict(type='sbam_mm.AttMask', ratio=.75, probability=1.))
    student.data_preprocessor = MODELS.build(dict(
        type='sbam_mm.SelfSupDataPreprocessor', mean=[110.], std=[60.]))
    pixels = 255 * torch.rand(2, 3, 96, 96)
    # The student's 96 pixels are 4 x 4 patches of 24, the teacher's 32.
    seen = torch.nn.functional.interpolate(
        pixels, (32, 32), mode='bicubic', antialias=True)
    mean, std = (torch.tensor(NORMALISATION[key]).view(3, 1, 1)
                 for key in ('image_mean', 'image_std'))
    with torch.no_grad():
        maps = model((seen / 255 - mean) / std,
                     output_attentions=True).attentions
    teacher = student.teacher
    received = teacher.attention(
        teacher.as_its_own((pixels - 110) / 60, student), (4, 4), -1)
    torch.testing.assert_close(
        received, maps[-1][:, :, 0, 1:], rtol=1e-4, atol=1e-5)


def test_frozen_teacher_of_the_same_file(tmp_path):
    """Ours and timm's code of one ViT say the same."""
    timm = pytest.importorskip('timm')
    name = 'vit_small_patch14_dinov2'
    options = dict(SMALL, img_size=56)
    path = str(tmp_path / 'x.safetensors')
    safetensors.torch.save_file(randomise(timm.create_model(
        name, num_classes=0, **options)).state_dict(), path)
    theirs = TimmTeacher(name, path, **options)
    arch = dict(embed_dims=24, num_layers=3, num_heads=3,
                feedforward_channels=96)
    ours = FrozenTeacher(
        dict(type='sbam_mm.MaskedViT', arch=arch, img_size=56, patch_size=14,
             layer_scale_init_value=1e-5), path, [123.675, 116.28, 103.53],
        [58.395, 57.12, 57.375])
    torch.testing.assert_close(theirs.normalised.mean, ours.normalised.mean)
    torch.testing.assert_close(theirs.normalised.std, ours.normalised.std)
    images = torch.randn(2, 3, 32, 32)
    for question in ((-1, ), (1, 'patches', False, False), (0, 'all')):
        torch.testing.assert_close(
            theirs.attention(images, (4, 4), *question),
            ours.attention(images, (4, 4), *question), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize('name', ['ViT', 'DINOv3', 'SigLIP', 'BEiT'])
def test_any_grid_and_size(tmp_path, name):
    """Positions are interpolated by the library; maps are by area."""
    model = hf_folder(name, tmp_path)
    images = torch.randn(1, 3, 48, 32)
    options = {} if name == 'DINOv3' else dict(interpolate_pos_encoding=True)
    with torch.no_grad():
        maps = model(images, output_attentions=True, **options).attentions
    want = sums(maps[1], HF[name][2], 'all', True)
    native = HFTeacher(str(tmp_path), size=(48, 32))
    torch.testing.assert_close(
        native.attention(images, (6, 4), 1, 'all'), want)
    for grid in ((3, 2), (4, 5), (12, 8)):
        got = native.attention(images, grid, 1, 'all')
        assert got.shape == (1, 3, grid[0] * grid[1])
        torch.testing.assert_close(got.sum(-1), want.sum(-1))
    quarters = native.attention(images, (12, 8), 1, 'all').unflatten(
        -1, (6, 2, 4, 2))
    torch.testing.assert_close(
        quarters, (want / 4).unflatten(-1, (6, 4))[:, :, :, None, :, None]
        .expand_as(quarters))
    # By default it sees as many patches as the student has.
    free = HFTeacher(str(tmp_path))
    torch.testing.assert_close(
        free.attention(images, (6, 4), 1, 'all'), want)


@pytest.mark.parametrize('resample', ['nearest', 'bilinear', 'bicubic'])
def test_interpolated_maps(resample):
    maps = torch.arange(6.).view(1, 1, 6)
    assert torch.equal(on_grid(maps, (2, 3), (2, 3), resample), maps)
    got = on_grid(maps, (2, 3), (4, 6), resample).view(4, 6)
    assert got[0, 0] < got[0, -1] < got[-1, -1]
    flat = on_grid(torch.ones(1, 1, 6), (2, 3), (3, 2), resample)
    torch.testing.assert_close(flat, torch.ones(1, 1, 6))


def test_a_fixed_model_sees_its_own_size(tmp_path):
    """BEiT of timm has relative positions of one grid."""
    timm = pytest.importorskip('timm')
    options = dict(SMALL, img_size=64)
    model = randomise(timm.create_model('beit_base_patch16_224',
                                        num_classes=0, **options))
    path = tmp_path / 'x.safetensors'
    safetensors.torch.save_file(model.state_dict(), path)
    teacher = TimmTeacher('beit_base_patch16_224', str(path), **options)
    images = torch.randn(1, 3, 64, 64)
    want = timm_maps(model, images)[2][:, :, 0, 1:]
    torch.testing.assert_close(
        teacher.attention(images, (2, 2), -1),
        on_grid(want, (4, 4), (2, 2)), rtol=1e-5, atol=1e-5)


def test_sharded_folders_and_files_beside_a_config(tmp_path):
    hf_folder('CLIP', tmp_path / 'one')
    hf_folder('CLIP', tmp_path / 'many', max_shard_size='20KB')
    assert len(list((tmp_path / 'many').glob('model-*'))) > 2
    images = torch.randn(1, 3, 32, 32)
    first, *others = (
        HFTeacher(*map(str, one)).attention(images, (4, 4), -1) for one in (
            [tmp_path / 'one'], [tmp_path / 'many'],
            [tmp_path / 'one/model.safetensors'],
            [tmp_path / 'one', tmp_path / 'many']))
    for other in others:
        assert torch.equal(first, other)


def test_clip_with_its_text_encoder(tmp_path):
    """Of a whole CLIP the image encoder is taken."""
    transformers = pytest.importorskip('transformers')
    model = randomise(transformers.CLIPModel(transformers.CLIPConfig(
        vision_config=SIZES, text_config=dict(
            hidden_size=16, intermediate_size=16, num_hidden_layers=1,
            num_attention_heads=2, vocab_size=9, max_position_embeddings=5))))
    model.set_attn_implementation('eager')
    model.save_pretrained(tmp_path)
    images = torch.randn(1, 3, 32, 32)
    with torch.no_grad():
        maps = model.vision_model(images, output_attentions=True).attentions
    teacher = HFTeacher(str(tmp_path), mean=[120.] * 3, std=[60.] * 3)
    torch.testing.assert_close(
        teacher.attention(images, (4, 4), -1), maps[-1][:, :, 0, 1:],
        rtol=1e-5, atol=1e-5)


def test_folders_that_timm_writes(tmp_path):
    timm = pytest.importorskip('timm')
    pytest.importorskip('huggingface_hub')
    model = randomise(timm.create_model(
        'vit_small_patch14_reg4_dinov2', num_classes=0,
        **dict(SMALL, img_size=56)))
    timm.models.save_for_hf(
        model, tmp_path, model_args=dict(SMALL, img_size=56),
        safe_serialization=True)
    config = teacher_config(str(tmp_path), {})
    assert config['type'] == 'sbam_mm.TimmTeacher'
    teacher = MODELS.build(config)
    images = torch.randn(1, 3, 56, 56)
    torch.testing.assert_close(
        teacher.attention(images, (4, 4), -1),
        timm_maps(model, images)[-1][:, :, 0, 5:], rtol=1e-5, atol=1e-5)


def test_teachers_by_name(tmp_path):
    (tmp_path / 'config.json').write_text('{"model_type": "vit"}')
    assert teacher_config(str(tmp_path), {}) == dict(
        type='sbam_mm.HFTeacher', model=str(tmp_path))
    assert teacher_config('hf:facebook/dinov2-small', {}) == dict(
        type='sbam_mm.HFTeacher', model='facebook/dinov2-small')
    backbone = dict(type='sbam_mm.MaskedViT')
    assert teacher_config('a/b.pth', backbone) == dict(
        type='sbam_mm.FrozenTeacher', backbone=backbone, checkpoint='a/b.pth')
    with pytest.raises(ValueError, match='no config.json'):
        teacher_config(str(tmp_path.parent), {})


def one_sentence(action, *words):
    with pytest.raises(UserError) as error:
        action()
    message = str(error.value)
    assert all(word in message for word in words), message
    assert '\n' not in message and message.endswith('.')


def test_wrong_files_of_timm(tmp_path):
    timm = pytest.importorskip('timm')
    name, options = 'vit_tiny_patch16_224', dict(SMALL, img_size=64)
    state = timm.create_model(name, num_classes=3, **options).state_dict()
    path = str(tmp_path / 'x.safetensors')

    def teacher(state, **changed):
        safetensors.torch.save_file(state, path)
        return TimmTeacher(name, path, **{**options, **changed})

    teacher(state)  # with a classifier
    norm = state.pop('blocks.1.norm1.weight')
    one_sentence(lambda: teacher(state), path, name, 'blocks.1.norm1.weight')
    state['blocks.1.norm1.weight'] = norm
    one_sentence(lambda: teacher(dict(state, reg_token=torch.ones(1, 4, 24))),
                 path, 'reg_token')
    one_sentence(lambda: teacher(state, embed_dim=48), path, 'size mismatch')
    one_sentence(lambda: teacher(state, size=100), 'no multiple', '16 x 16')
    one_sentence(lambda: TimmTeacher('vit_nonsense', path), 'vit_nonsense')
    one_sentence(lambda: TimmTeacher(name, 'no/such.pth'), 'no/such.pth')
    resnet = timm.create_model('test_resnet', num_classes=0)
    safetensors.torch.save_file(resnet.state_dict(), path)
    one_sentence(lambda: TimmTeacher('test_resnet', path),
                 'no Vision Transformer')
    one_sentence(lambda: teacher(state).attention(
        torch.zeros(1, 3, 64, 64), (4, 4), 3), 'blocks 0 to 2')


def test_wrong_folders_of_transformers(tmp_path):
    hf_folder('DINOv2', tmp_path)
    path = tmp_path / 'model.safetensors'
    state = safetensors.torch.load_file(path)
    key = next(key for key in state if '.1.norm1.weight' in key)

    def refused(changed, *words):
        safetensors.torch.save_file(changed, path, dict(format='pt'))
        one_sentence(lambda: HFTeacher(str(tmp_path)), str(tmp_path), *words)

    refused({k: v for k, v in state.items() if k != key}, 'lacks', 'norm1')
    refused(dict(state, strange=torch.ones(2)), 'also has strange')
    refused(dict(state, **{key: torch.ones(5)}), 'other sizes', 'norm1')
    path.write_bytes(b'damaged')
    one_sentence(lambda: HFTeacher(str(tmp_path)), str(tmp_path))
    safetensors.torch.save_file(state, path, dict(format='pt'))
    (tmp_path / 'preprocessor_config.json').unlink()
    one_sentence(lambda: HFTeacher(str(tmp_path)), 'mean and std')


def test_a_hierarchy_is_no_teacher(tmp_path):
    transformers = pytest.importorskip('transformers')
    config = transformers.SwinConfig(
        image_size=32, patch_size=4, embed_dim=12, depths=[1, 1],
        num_heads=[2, 2], window_size=4, encoder_stride=8)
    transformers.SwinModel(config).save_pretrained(tmp_path)
    one_sentence(
        lambda: HFTeacher(str(tmp_path), mean=[1.] * 3, std=[1.] * 3),
        str(tmp_path), 'Vision Transformer')


@pytest.mark.parametrize('kind, name, extra', [
    (TimmTeacher, 'timm', 'timm'), (HFTeacher, 'transformers', 'hf')])
def test_libraries_that_are_not_there(monkeypatch, kind, name, extra):
    monkeypatch.setitem(sys.modules, name, None)
    one_sentence(lambda: kind('vit_tiny_patch16_224'), name,
                 f"pip install 'sbam_mm[{extra}]'")


def test_a_broken_library_is_not_called_missing(tmp_path, monkeypatch):
    (tmp_path / 'vits_of_mine.py').write_text('import a_part_that_is_gone')
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match='a_part_that_is_gone'):
        extra_library('vits_of_mine', 'mine', 'this teacher')
    with pytest.raises(UserError, match="install 'sbam_mm.yours.'"):
        extra_library('vits_of_yours', 'yours', 'this teacher')
