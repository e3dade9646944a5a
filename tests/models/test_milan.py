# Copyright (c) OpenMMLab. All rights reserved.
"""MILAN against mmpretrain's, for the same mask and weights."""
import pytest
import torch
from mmpretrain.models import MILANPretrainDecoder
from mmpretrain.models.losses import CosineSimilarityLoss
from mmpretrain.models.utils.clip_generator_helper import CLIP
from short_trainings import every_parameter_learns, mask_of

from sbam_mm.models import MILAN
from sbam_mm.models.teachers.clip_teacher import CLIPTeacher

pytestmark = pytest.mark.unit

ARCH = dict(
    embed_dims=24, num_layers=2, num_heads=3, feedforward_channels=48)
SIZE = dict(img_size=32, patch_size=8)


@pytest.fixture
def clip(tmp_path):
    """A small CLIP in a file with OpenAI's names, text encoder included."""
    torch.manual_seed(1)
    model = CLIP(20, 32, 2, 64, 8, 5, 7, 64, 1, 1)
    path = tmp_path / 'clip.pth.tar'
    torch.save(model.state_dict(), path)
    return model.eval(), path


def build(path, masker=None, **neck):
    torch.manual_seed(0)
    model = MILAN(
        backbone=dict(type='sbam_mm.MaskedViT', arch=ARCH, **SIZE),
        masker=masker,
        neck={**dict(
            type='sbam_mm.PromptDecoder',
            embed_dim=24,
            decoder_embed_dim=16,
            decoder_depth=2,
            decoder_num_heads=2,
            feature_dim=20,
            **SIZE), **neck},
        teacher=dict(type='sbam_mm.CLIPTeacher', checkpoint=str(path)))
    model.init_weights()
    return model


def test_teacher_is_clip(clip):
    model, path = clip
    images = torch.randn(2, 3, 32, 32)
    teacher = CLIPTeacher(str(path)).train()
    with torch.no_grad():
        features, attention = model.encode_image(images)
    look = teacher.look(images)
    torch.testing.assert_close(look.features, features)
    torch.testing.assert_close(look.attention, attention[:, 0, 1:])
    assert not teacher.training
    with pytest.raises(ValueError, match='images of 32 pixels'):
        teacher.look(torch.randn(1, 3, 40, 40))


def test_loss_equals_mmpretrain(clip):
    source, path = clip
    model = build(path).eval()
    for parameter in model.parameters():
        if parameter.requires_grad:
            torch.nn.init.normal_(parameter, std=.2)
    theirs = MILANPretrainDecoder(
        16, 8, embed_dim=24, decoder_embed_dim=16, decoder_depth=2,
        decoder_num_heads=2, predict_feature_dim=20)
    state = {}
    for name, value in model.neck.state_dict().items():
        if '.qkv.' in name:
            state[name.replace('.qkv.', '.q.')] = value[:16]
            state[name.replace('.qkv.', '.kv.')] = value[16:]
        else:
            state[name] = value
    theirs.load_state_dict(state, strict=True)
    images, mask = torch.randn(3, 3, 32, 32), mask_of([12, 12, 12])
    model.mask = lambda *_, **__: mask
    ids = mask.masked.long().argsort(dim=1, stable=True)
    with torch.no_grad():
        latent = model.backbone.encode(model.backbone.embed(images), mask)
        x = latent.packed.view(3, 5, 24)
        wanted = theirs(x, ids.argsort(dim=1), ids[:, :4], ids[:, 4:])
        got = model.neck(latent, mask)
        features, _ = source.encode_image(images)
    torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(
        model.loss(images)['loss'],
        CosineSimilarityLoss(2., 2.)(wanted, features),
        rtol=1e-4, atol=1e-5)


def test_a_loop_over_images_with_ratios_of_their_own(clip):
    model = build(clip[1]).eval()
    images, mask = torch.randn(3, 3, 32, 32), mask_of([12, 8, 3])

    def predict(rows):
        part = type(mask)(mask.masked[rows])
        latent = model.backbone.encode(
            model.backbone.embed(images[rows]), part)
        return model.neck(latent, part)

    together = predict(slice(0, 3))
    for i in range(3):
        torch.testing.assert_close(
            together[i:i + 1], predict(slice(i, i + 1)), rtol=1e-4,
            atol=1e-5)


@pytest.mark.parametrize('masker', [
    None, dict(type='sbam_mm.SBAM'), dict(type='sbam_mm.RandomMasker'),
    dict(type='sbam_mm.AttMask', source='teacher')])
def test_every_parameter_learns_with_one_pass_of_clip(masker, clip):
    model = build(clip[1], masker)
    passes = []
    model.teacher.visual.register_forward_hook(
        lambda *_: passes.append(1))
    every_parameter_learns(model, torch.randn(4, 3, 32, 32))
    assert len(passes) == 2  # of two steps


def test_the_attended_stay_visible(clip):
    model, images = build(clip[1]), torch.randn(64, 3, 32, 32)
    look = model.teacher.look(images)
    mask = model.mask(model.backbone.embed(images), images, teaching=look)
    assert mask.masked.sum(1).tolist() == [12] * 64
    seen = look.attention[mask.visible].mean()
    assert seen > look.attention[mask.masked].mean()


@pytest.mark.parametrize('change, words', [
    (dict(masker=dict(type='sbam_mm.AMT', ratio=.4)), 'throws tokens away'),
    (dict(feature_dim=7), 'set neck.feature_dim=20'),
    (dict(type='sbam_mm.MAEDecoder', feature_dim=None), 'PromptDecoder'),
])
def test_bad_parts(change, words, clip):
    if 'type' in change:
        with pytest.raises(ValueError, match=words):
            MILAN(
                backbone=dict(type='sbam_mm.MaskedViT', arch=ARCH, **SIZE),
                neck=dict(type='sbam_mm.MAEDecoder', embed_dim=24,
                          decoder_num_heads=2, decoder_embed_dim=16, **SIZE),
                teacher=dict(
                    type='sbam_mm.CLIPTeacher', checkpoint=str(clip[1])))
        return
    with pytest.raises(ValueError, match=words):
        build(clip[1], **change)


def test_gpa_cannot_ask_clip(clip):
    model = build(clip[1], dict(type='sbam_mm.GPA', block=1, head=0))
    with pytest.raises(ValueError, match='MILANMasker'):
        model.loss(torch.randn(1, 3, 32, 32))


def test_a_file_that_is_no_clip(tmp_path, clip):
    torch.save({'visual.attnpool.weight': torch.zeros(1)},
               tmp_path / 'resnet.pth')
    with pytest.raises(ValueError, match='no CLIP with a ViT'):
        CLIPTeacher(str(tmp_path / 'resnet.pth'))
    state = clip[0].state_dict()
    state.pop('visual.ln_post.bias')
    torch.save(state, tmp_path / 'part.pth')
    with pytest.raises(ValueError, match='lacks 1 weights'):
        CLIPTeacher(str(tmp_path / 'part.pth'))
