# Copyright (c) OpenMMLab. All rights reserved.
"""Teachers: attention of whole images, frozen or following the student."""
import pytest
import torch
from mmengine.logging import MessageHub
from mmpretrain.models import DistilledVisionTransformer, VisionTransformer
from torch import nn

from sbam_mm.models import MaskedViT
from sbam_mm.models.backbones.vit_attention import (
    input_tokens,
    patch_attention,
)
from sbam_mm.models.teachers.momentum import MomentumCopy
from sbam_mm.registry import MODELS

pytestmark = pytest.mark.unit
ARCH = dict(
    embed_dims=24, num_layers=2, num_heads=3, feedforward_channels=48)
SIZE = dict(img_size=32, patch_size=8)
ATTMASK = dict(
    type='sbam_mm.AttMask', ratio=0.75, probability=1., source='teacher')


def with_teacher(build, teacher, masker=ATTMASK):
    """A tiny MAE with a teacher, rebuilt from the fixture's parts."""
    plain = build('RandomMasker')
    model = MODELS.get('sbam_mm.MAE')(
        backbone=plain.backbone,
        neck=plain.neck,
        head=plain.head,
        masker=masker,
        teacher=teacher)
    model.init_weights()
    return model


@pytest.fixture
def teacher_file(tmp_path):
    vit = MaskedViT(ARCH, **SIZE)
    torch.manual_seed(5)
    for parameter in vit.parameters():
        nn.init.normal_(parameter, std=0.2)
    path = tmp_path / 'teacher.pth'
    torch.save({f'backbone.{k}': v for k, v in vit.state_dict().items()}, path)
    return str(path), vit


def frozen(checkpoint, **backbone):
    backbone = {
        **dict(type='sbam_mm.MaskedViT', arch=ARCH, **SIZE),
        **backbone
    }
    return dict(
        type='sbam_mm.FrozenTeacher', backbone=backbone, checkpoint=checkpoint)


def explicit_attention(vit, images, block):
    """All of one block's probabilities by the textbook, (B, H, N, N)."""
    x = input_tokens(vit, images)
    for layer in vit.layers[:block]:
        x = layer(x)
    layer = vit.layers[block]
    heads = layer.attn.num_heads
    qkv = layer.attn.qkv(layer.ln1(x)).unflatten(-1, (3, heads, -1))
    q, k, _ = qkv.permute(2, 0, 3, 1, 4)
    return (q @ k.mT / q.shape[-1]**0.5).softmax(-1)


@pytest.mark.parametrize('kind, extra', [(VisionTransformer, 1),
                                         (DistilledVisionTransformer, 2)])
@pytest.mark.parametrize('own_query', [True, False])
def test_any_vit_of_mmpretrain(kind, extra, own_query):
    vit = kind(ARCH, **SIZE)
    vit.eval()
    for parameter in vit.parameters():
        nn.init.normal_(parameter, std=0.2)
    images = torch.randn(2, 3, 32, 32)
    matrix = explicit_attention(vit, images, 1)
    x = input_tokens(vit, images)
    torch.testing.assert_close(
        patch_attention(vit, x, -1), matrix[:, :, 0, extra:])
    if not own_query:
        matrix = matrix - torch.diag_embed(matrix.diagonal(dim1=2, dim2=3))
    for queries, first in (('all', 0), ('patches', extra)):
        torch.testing.assert_close(
            patch_attention(vit, x, 1, queries, own_query=own_query),
            matrix[:, :, first:].sum(2)[..., extra:],
            rtol=1e-5,
            atol=1e-6)


def test_input_tokens_enter_the_vit(teacher_file):
    """The blocks after them give what the encoder itself gives."""
    _, vit = teacher_file
    images = torch.randn(2, 3, 32, 48)  # not the grid of the training
    x = input_tokens(vit, images)
    for layer in vit.layers:
        x = layer(x)
    torch.testing.assert_close(vit.ln1(x), vit(images)[0])


def test_own_query_of_logits(teacher_file):
    """The sum over i != m, with and without the class token (GPA's Eq. 5)."""
    _, vit = teacher_file
    x = input_tokens(vit, torch.randn(2, 3, 32, 32))
    layer = vit.layers[0]
    qkv = layer.attn.qkv(layer.ln1(x)).unflatten(-1, (3, 3, 8))
    q, k, _ = qkv.permute(2, 0, 3, 1, 4)
    for queries, first in (('all', 0), ('patches', 1)):
        got = patch_attention(vit, x, 0, queries, False, own_query=False)
        for m in range(1, 17):
            others = [i for i in range(first, 17) if i != m]
            expected = (q[:, :, others] @ k[:, :, m, :, None]).sum(
                (2, 3)) / 8**.5
            torch.testing.assert_close(
                got[..., m - 1], expected, rtol=1e-4, atol=1e-3)


def test_frozen_teacher_decides_and_stays(tiny_mae, teacher_file):
    path, vit = teacher_file
    model = with_teacher(tiny_mae, frozen(path)).train()
    images = torch.rand(2, 3, 32, 32)
    mask = model.mask(model.backbone.embed(images), images)
    attention = vit.attention(vit.embed(images), -1).mean(1)
    for i in range(2):
        top = attention[i].topk(12).indices
        assert mask.masked[i, top].all() and mask.masked[i].sum() == 12

    before = {k: v.clone() for k, v in model.teacher.state_dict().items()}
    optimizer = torch.optim.SGD(
        [p for p in model.parameters() if p.requires_grad], lr=0.1)
    for _ in range(2):
        model.loss(images)['loss'].backward()
        optimizer.step()
    for name, value in model.teacher.state_dict().items():
        assert torch.equal(value, before[name])
    assert not any(p.requires_grad for p in model.teacher.parameters())
    assert not any(m.training for m in model.teacher.modules())


def test_momentum_teacher_moves_by_the_right_amount(tiny_mae):
    model = with_teacher(
        tiny_mae, dict(type='sbam_mm.MomentumTeacher', momentum=0.9)).train()
    images = torch.rand(2, 3, 32, 32)
    optimizer = torch.optim.SGD(
        [p for p in model.parameters() if p.requires_grad], lr=0.1)
    name = 'layers.1.attn.qkv.weight'
    student = dict(model.backbone.named_parameters())[name]
    teacher = dict(model.teacher.vit.named_parameters())[name]
    expected = student.detach().clone()
    for step in range(3):
        if step:
            expected = 0.9 * expected + 0.1 * student.detach()
        model.loss(images)['loss'].backward()
        torch.testing.assert_close(teacher, expected)
        optimizer.step()
        optimizer.zero_grad()
        assert not torch.equal(student, teacher)
    # Looking at masks is no training step.
    model.eval()
    model.loss(images)
    torch.testing.assert_close(teacher, expected)


@pytest.mark.parametrize('shape', ['cosine', 'linear'])
def test_momentum_schedule(shape):
    copy = MomentumCopy(nn.Linear(1, 1), 0.9, 1., shape)
    hub = MessageHub.get_current_instance()
    hub.update_info('max_iters', 100)
    seen = {}
    for iteration in (0, 1, 26, 51, 101):
        hub.update_info('iter', iteration)
        seen[iteration] = copy.momentum()
    # The update at the beginning of step t belongs to step t - 1.
    assert seen[0] == seen[1] == 0.9
    assert seen[51] == pytest.approx(0.95)
    assert seen[101] == pytest.approx(1.)
    quarter = 0.925 if shape == 'linear' else 0.9 + 0.1 * (1 - 2**-.5) / 2
    assert seen[26] == pytest.approx(quarter)


def test_momentum_ramp_ends_early():
    hub = MessageHub.get_current_instance()
    for name, value in dict(max_iters=80, max_epochs=8, iter=21).items():
        hub.update_info(name, value)
    copy = MomentumCopy(nn.Linear(1, 1), 0.9, 1., 'linear', ramp_epochs=2)
    assert copy.momentum() == 1.
    hub.update_info('iter', 11)
    assert copy.momentum() == pytest.approx(0.95)


def test_teachers_survive_the_state_dict(tiny_mae, teacher_file):
    """A resumed model has the teacher of the checkpoint, not a fresh one."""
    for teacher in (frozen(teacher_file[0]),
                    dict(type='sbam_mm.MomentumTeacher', momentum=0.5)):
        model = with_teacher(tiny_mae, teacher).train()
        images = torch.rand(2, 3, 32, 32)
        for _ in range(2):
            model.loss(images)
            for p in model.backbone.parameters():
                p.data.mul_(1.1)
        other = with_teacher(tiny_mae, teacher).train()
        other.load_state_dict(model.state_dict())
        for m in (model, other):
            torch.manual_seed(0)
            m.loss(images)
        for name, value in model.state_dict().items():
            assert torch.equal(value, other.state_dict()[name]), name


@pytest.mark.parametrize('make, words', [
    (lambda build, path: with_teacher(build, None), 'FrozenTeacher'),
    (lambda build, path: with_teacher(build, frozen('no/such.pth')),
     'does not exist'),
    (lambda build, path: with_teacher(build, frozen(path, arch='tiny')),
     'sizes'),
    (lambda build, path: with_teacher(
        build, dict(type='sbam_mm.MomentumTeacher', momentum=1.5)),
     r'in \[0, 1\]'),
    (lambda build, path: with_teacher(
        build, frozen(path), dict(ATTMASK, block=7)).loss(
            torch.rand(1, 3, 32, 32)), 'blocks 0 to 1'),
    (lambda build, path: with_teacher(
        build, frozen(path), dict(ATTMASK, source='friend')), '"teacher"'),
    (lambda build, path: build(dict(type='sbam_mm.AMT')).loss(
        torch.rand(1, 3, 32, 32)), 'LoadAttentionMap'),
    (lambda build, path: build(dict(type='sbam_mm.HPMMasker')),
     'predicts the loss'),
])
def test_bad_input_gets_a_sentence(tiny_mae, teacher_file, make, words):
    with pytest.raises(ValueError, match=words) as error:
        make(tiny_mae, teacher_file[0])
    assert '\n' not in str(error.value)


def test_no_class_token_to_ask():
    vit = VisionTransformer(
        ARCH, with_cls_token=False, out_type='raw', **SIZE)
    x = input_tokens(vit, torch.rand(1, 3, 32, 32))
    assert patch_attention(vit, x, 0, 'all').shape == (1, 3, 16)
    with pytest.raises(ValueError, match="queries='all'"):
        patch_attention(vit, x, 0)


@pytest.mark.parametrize('patch, size', [(14, 56), (4, 16), (16, 64)])
def test_patches_of_another_size(tiny_mae, tmp_path, patch, size):
    """The teacher sees images whose patches are the student's, resized."""
    torch.manual_seed(0)
    vit = MaskedViT(ARCH, img_size=size, patch_size=patch)
    for parameter in vit.parameters():
        nn.init.normal_(parameter, std=0.2)
    path = tmp_path / 'teacher.pth'
    torch.save({f'backbone.{k}': v for k, v in vit.state_dict().items()}, path)
    model = with_teacher(
        tiny_mae, frozen(str(path), img_size=size, patch_size=patch))
    images = torch.randn(2, 3, 32, 32)
    context = model.context(model.embed(images), images)
    got = context.ask('teacher_attention', 1)
    resized = torch.nn.functional.interpolate(
        images, (size, size), mode='bicubic', antialias=True)
    vit.eval()
    want = patch_attention(vit, input_tokens(vit, resized), 1)
    assert got.shape == (2, 3, 16)
    torch.testing.assert_close(got, want)


def test_a_teacher_with_a_normalisation_of_its_own(tiny_mae, teacher_file):
    """It sees the pixels that it knows, whatever the student's are."""
    path, vit = teacher_file
    ours, its = dict(mean=[110.], std=[60.]), dict(
        mean=[120., 116., 104.], std=[58., 57., 56.])
    pixels = torch.rand(2, 3, 32, 32) * 255
    model = with_teacher(tiny_mae, dict(frozen(path), **its))
    model.data_preprocessor = MODELS.build(
        dict(type='sbam_mm.SelfSupDataPreprocessor', **ours))
    images = (pixels - 110.) / 60.
    context = model.context(model.embed(images), images)
    mean, std = (torch.tensor(its[key]).view(3, 1, 1) for key in its)
    vit.eval()
    want = patch_attention(vit, input_tokens(vit, (pixels - mean) / std), 1)
    torch.testing.assert_close(
        context.ask('teacher_attention', 1), want, rtol=1e-4, atol=1e-5)
