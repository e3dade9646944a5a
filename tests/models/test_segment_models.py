# Copyright (c) OpenMMLab. All rights reserved.
"""Encoders and methods guided by segments, and the student without them."""
import numpy as np
import pytest
import torch
from mmpretrain.models import VisionTransformer
from mmpretrain.structures import DataSample
from skimage.segmentation import felzenszwalb

from sbam_mm.layers import RecordedAttention
from sbam_mm.masking import TokenMask
from sbam_mm.models import DINO, MAE, MaskedViT
from sbam_mm.models.backbones.vit_attention import encode_whole
from sbam_mm.models.checkpoint import load_weights
from sbam_mm.models.checkpoint_formats import from_ours
from sbam_mm.models.guidance import attending
from sbam_mm.models.teachers import FrozenTeacher
from sbam_mm.segments import (
    DistilDINO,
    DistilMAE,
    FrozenDINO,
    relations_to,
)
from sbam_mm.visualization import photograph

pytestmark = pytest.mark.unit
ARCH = dict(
    embed_dims=24, num_layers=2, num_heads=3, feedforward_channels=48)
SIZE = dict(arch=ARCH, img_size=32, patch_size=8)
GUIDED = dict(SIZE, segment_bias=dict())
VIT = 'sbam_mm.MaskedViT'


def guided_vit(seed=0, **bias):
    torch.manual_seed(seed)
    vit = MaskedViT(**SIZE, segment_bias=bias)
    vit.init_weights()
    for u in vit.segment_bias.parameters():
        torch.nn.init.normal_(u, std=3.)
    return vit


def ids(batch_size=3):
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 4, (batch_size, 16), generator=generator).byte()


def sample(segments):
    made = DataSample()
    made.set_field(segments, 'segment_map')
    return made


def crops(side=32, count=8):
    """Pieces of a photograph, and one segment id for each patch of 8."""
    picture = photograph('coffee')
    generator = np.random.default_rng(0)
    images, maps = [], []
    for _ in range(count):
        y = generator.integers(picture.shape[0] - 4 * side)
        x = generator.integers(picture.shape[1] - 4 * side)
        crop = picture[y:y + 4 * side:4, x:x + 4 * side:4]
        labels = felzenszwalb(crop, scale=100, min_size=40)
        largest = np.argsort(-np.bincount(labels.flat))[:5]
        ranks = np.zeros(labels.max() + 1, np.uint8)
        ranks[largest] = np.arange(1, len(largest) + 1)
        images.append(crop.transpose(2, 0, 1) / 128. - 1)
        maps.append(ranks[labels[4::8, 4::8]])
    return torch.tensor(np.stack(images), dtype=torch.float32), maps


def mae(backbone=None, kind=MAE, **options):
    torch.manual_seed(0)
    encoder = dict(type=VIT, **(backbone or GUIDED))
    patch_size = encoder['patch_size']
    model = kind(
        backbone=encoder,
        neck=dict(
            type='sbam_mm.MAEDecoder', embed_dim=24, decoder_embed_dim=16,
            decoder_depth=1, decoder_num_heads=2, img_size=32,
            patch_size=patch_size),
        head=dict(type='sbam_mm.PixelHead', patch_size=patch_size),
        **options)
    model.init_weights()
    return model


DINO_HEAD = dict(
    type='sbam_mm.DINOHead', in_dim=24, out_dim=16, hidden_dim=16,
    bottleneck_dim=8)


def dino(backbone=None, kind=DINO, **options):
    torch.manual_seed(0)
    model = kind(
        backbone=dict(type=VIT, learned_position=True,
                      **(backbone or GUIDED)),
        head=DINO_HEAD,
        **options)
    model.init_weights()
    return model


def views_of(images):
    """Two global crops and a local one, and their samples."""
    generator = np.random.default_rng(0)
    views = [images, images.flip(3), images[..., :16, :16]]
    samples = [
        sample([generator.integers(0, 4, (side, side)).astype(np.uint8)
                for side in (4, 4, 2)]) for _ in images
    ]
    return views, samples


def test_unequal_lengths_equal_a_loop_over_images():
    vit, segments = guided_vit(), ids()
    tokens = vit.embed(torch.randn(3, 3, 32, 32))
    masked = torch.rand(3, 16) < torch.tensor([[.8], [.5], [.2]])
    with attending(vit, relations_to(vit, segments)):
        together = vit.encode(tokens, TokenMask(masked)).to_dense()
    for i in range(3):
        one = slice(i, i + 1)
        with attending(vit, relations_to(vit, segments[one])):
            alone = vit.encode(tokens[one], TokenMask(masked[one])).to_dense()
        torch.testing.assert_close(together[one], alone, rtol=0, atol=1e-5)
    plain = vit.encode(tokens, TokenMask(masked)).to_dense()
    assert (plain - together).abs().max() > 0.01


def test_visible_tokens_only_see_segments_of_visible_tokens():
    vit, segments = guided_vit(), ids()
    tokens = vit.embed(torch.randn(3, 3, 32, 32))
    mask = TokenMask(torch.rand(3, 16) < .5)
    with attending(vit, relations_to(vit, segments)):
        before = vit.encode(tokens, mask).packed
    other = torch.where(mask.masked, 5, segments.long())
    with attending(vit, relations_to(vit, other)):
        after = vit.encode(tokens, mask).packed
    assert torch.equal(before, after)


def test_without_maps_it_is_the_plain_vit():
    vit = guided_vit()
    plain = VisionTransformer(**SIZE, out_type='raw')
    state = {k: v for k, v in vit.state_dict().items()
             if not k.startswith('segment_bias.')}
    plain.load_state_dict(state, strict=True)
    images = torch.randn(2, 3, 32, 32)
    expected = plain(images)[-1]
    assert torch.equal(vit(images)[-1], expected)
    assert torch.equal(encode_whole(vit, images), expected)
    unknown = torch.zeros(2, 16, dtype=torch.uint8)
    with attending(vit, relations_to(vit, unknown)):
        torch.testing.assert_close(
            encode_whole(vit, images), expected, rtol=0, atol=1e-6)


def test_maskers_see_the_guided_attention():
    """Explicit probabilities, as the guided pass itself has them."""
    vit, segments = guided_vit(), ids(2)
    tokens = vit.embed(torch.randn(2, 3, 32, 32))
    attend = relations_to(vit, segments)
    x = vit.prepend_cls(tokens)
    layer = vit.layers[0]
    q, k, _ = layer.attn.qkv(layer.ln1(x)).unflatten(
        -1, (3, 3, 8)).permute(2, 0, 3, 1, 4)
    logits = (q @ k.transpose(2, 3) + attend[0].matrix()) / 8**.5
    expected = logits.softmax(-1)[:, :, 0, 1:]
    with attending(vit, attend):
        torch.testing.assert_close(
            vit.attention(tokens, 0), expected, rtol=0, atol=1e-5)


def test_converters_drop_the_bias_by_name(tmp_path):
    model = mae()
    state = model.state_dict()
    for target in ('timm', 'mae', 'hf', 'ours'):
        done = from_ours(state, target, part='encoder')
        assert sorted(k for k in done.dropped if 'segment' in k) == [
            'backbone.segment_bias.u_neg', 'backbone.segment_bias.u_pos']
    vit = VisionTransformer(**SIZE)
    vit.load_state_dict({k.removeprefix('backbone.'): v
                         for k, v in done.state.items()}, strict=True)
    path = tmp_path / 'guided.pth'
    torch.save(state, path)
    assert load_weights(MaskedViT(**SIZE), str(path)).share == 1.


@pytest.mark.parametrize('kind', ['MAE', 'DINO'])
def test_the_student_as_a_file_is_a_plain_vit(tmp_path, kind):
    if kind == 'MAE':
        student = distil(saved(mae(), tmp_path))
    else:
        student = dino(backbone=SIZE, kind=DistilDINO, teacher=dict(
            type='sbam_mm.FrozenDINO',
            backbone=dict(type=VIT, learned_position=True, **GUIDED),
            head=DINO_HEAD, checkpoint=saved(dino(), tmp_path)))
    # It must not be mistaken for its teacher.
    torch.nn.init.normal_(student.backbone.cls_token)
    done = from_ours(student.state_dict(), 'ours', part='encoder')
    plain = torch.nn.ModuleDict(dict(backbone=MaskedViT(**SIZE)))
    plain.load_state_dict(done.state, strict=True)
    for key, value in student.backbone.state_dict().items():
        assert torch.equal(plain.state_dict()[f'backbone.{key}'], value)


@pytest.mark.parametrize('masker', ['RandomMasker', 'SBAM'])
def test_mae_learns_its_bias(masker):
    images, maps = crops(count=4)
    model = mae(masker=dict(type=f'sbam_mm.{masker}'))
    model.loss(images, [sample(m) for m in maps])['loss'].backward()
    for u in model.backbone.segment_bias.parameters():
        assert (u.grad != 0).all()


def test_dino_tells_every_crop():
    """Student and momentum teacher, global and local crops."""
    views, samples = views_of(torch.randn(2, 3, 32, 32))
    samples = [
        sample([m % 2 + 1 for m in s.get('segment_map')]) for s in samples]
    model = dino(masker=dict(type='sbam_mm.RandomMasker', ratio=.5))
    out = model.loss(views, samples)
    out['loss_cls'].backward()
    for u in model.backbone.segment_bias.parameters():
        assert (u.grad[:-1] != 0).all()
        # Of the last layer only the class token counts, which has no bias.
        assert (u.grad[-1] == 0).all()

    def loss(changed):
        torch.manual_seed(0)
        for u in model.parameters():
            u.grad = None
        return model.eval().loss(views, changed)['loss_cls'].item()

    for u in model.momentum_teacher.module['backbone'].segment_bias.\
            parameters():
        torch.nn.init.normal_(u, std=9.)
    for u in model.backbone.segment_bias.parameters():
        torch.nn.init.normal_(u, std=9.)
    before = loss(samples)
    for view in range(3):
        maps = [[m * (v != view) for v, m in enumerate(s.get('segment_map'))]
                for s in samples]
        assert abs(loss([sample(m) for m in maps]) - before) > 1e-6, view


def saved(model, folder):
    path = folder / 'phase_one.pth'
    torch.save(dict(state_dict=model.state_dict()), path)
    return str(path)


def first_phase(folder):
    """A trained first phase, u far from 0."""
    images, maps = crops()
    samples = [sample(m) for m in maps]
    model = mae()
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    for _ in range(2):
        loss = model.loss(images, samples)['loss']
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    torch.nn.init.constant_(model.backbone.segment_bias.u_pos, 4.)
    torch.nn.init.constant_(model.backbone.segment_bias.u_neg, -4.)
    return saved(model, folder), images, samples


def distil(checkpoint, **options):
    return mae(
        backbone=SIZE,
        kind=DistilMAE,
        teacher=dict(
            type='sbam_mm.FrozenTeacher',
            backbone=dict(type=VIT, **GUIDED),
            checkpoint=checkpoint),
        **options)


def test_student_approaches_the_teacher_and_is_a_plain_vit(tmp_path):
    checkpoint, images, samples = first_phase(tmp_path)
    fixed = TokenMask(torch.arange(16).expand(8, -1) % 4 > 0, num_visible=4)
    errors = {}
    for weight in (0., 300.):
        model = distil(checkpoint, weight=weight)
        frozen = {k: v.clone() for k, v in model.teacher.state_dict().items()}
        model.mask = lambda *args, **kwargs: fixed
        optimizer = torch.optim.AdamW(
            [p for p in model.parameters() if p.requires_grad], lr=2e-3)
        errors[weight] = []
        for _ in range(8):
            out = model.loss(images, samples)
            errors[weight].append(out['attention_error'].item())
            optimizer.zero_grad()
            (out['loss_pixel'] + out['loss_attention']).backward()
            optimizer.step()
        for name, value in model.teacher.state_dict().items():
            assert torch.equal(value, frozen[name])
    assert errors[300.][0] == pytest.approx(errors[0.][0], rel=1e-5)
    assert errors[300.][-1] < .8 * errors[300.][0]
    assert errors[300.][-1] < .8 * errors[0.][-1]
    VisionTransformer(**SIZE).load_state_dict(
        {k.removeprefix('backbone.'): v for k, v in model.state_dict().items()
         if k.startswith('backbone.')}, strict=True)


def test_error_is_the_mean_square_over_layers_heads_and_pairs(tmp_path):
    checkpoint, images, samples = first_phase(tmp_path)
    model = distil(checkpoint, masker=dict(type='sbam_mm.RandomMasker'))
    token_mask = TokenMask(torch.arange(16).expand(8, -1) % 4 > 0)
    ids = torch.from_numpy(
        np.stack([s.get('segment_map') for s in samples])).flatten(1)
    visible = [0, *(1 + np.arange(0, 16, 4))]

    def maps(vit, bias):
        x, found = vit.prepend_cls(vit.embed(images))[:, visible], []
        for number, layer in enumerate(vit.layers):
            q, k, _ = layer.attn.qkv(layer.ln1(x)).unflatten(
                -1, (3, 3, 8)).permute(2, 0, 3, 1, 4)
            logits = q @ k.transpose(2, 3)
            if bias is not None:
                logits = logits + bias[number].matrix()[
                    :, :, visible][..., visible]
            found.append((logits / 8**.5).softmax(-1))
            values = layer.attn.qkv(layer.ln1(x)).unflatten(
                -1, (3, 3, 8))[:, :, 2].transpose(1, 2)
            x = x + layer.attn.proj(
                (found[-1] @ values).transpose(1, 2).flatten(2))
            x = layer.ffn(layer.ln2(x), identity=x)
        return torch.stack(found)

    teacher = model.teacher.vit
    expected = torch.nn.functional.mse_loss(
        maps(model.backbone, None), maps(teacher, relations_to(teacher, ids)))
    learning = [RecordedAttention() for _ in model.backbone.layers]
    with attending(model.backbone, learning):
        model.predict(model.backbone.embed(images), token_mask, images)
    error = model.attention_error(learning, images, token_mask, samples)
    torch.testing.assert_close(error, expected, rtol=1e-4, atol=1e-9)


def test_second_phase_starts_as_the_teacher(tmp_path):
    checkpoint, images, samples = first_phase(tmp_path)
    teacher = torch.load(checkpoint)['state_dict']
    student = distil(checkpoint).state_dict()
    fresh = distil(checkpoint, start='scratch').state_dict()
    for part in ('backbone.layers.0.ffn.layers.0.0.weight',
                 'neck.decoder_embed.weight'):
        assert torch.equal(student[part], teacher[part])
        assert not torch.equal(fresh[part], teacher[part])


def test_dino_student_without_bias_matches_at_once(tmp_path):
    """With u = 0 the same views give the same prediction: no divergence."""
    views, samples = views_of(torch.randn(2, 3, 32, 32))
    model = dino()
    teacher = dict(
        type='sbam_mm.FrozenDINO',
        backbone=dict(type=VIT, learned_position=True, **GUIDED),
        head=DINO_HEAD)
    for u, expected in ((0., True), (9., False)):
        branch = model.momentum_teacher.module
        for p in branch['backbone'].segment_bias.parameters():
            torch.nn.init.constant_(p, u)
        # The other branch is not the one to learn from.
        torch.nn.init.normal_(model.backbone.cls_token)
        student = dino(
            backbone=SIZE, kind=DistilDINO,
            teacher=dict(teacher, checkpoint=saved(model, tmp_path)))
        divergence = student.loss(views, samples)['divergence'].item()
        assert (abs(divergence) < 1e-5) is expected, divergence
    student.loss(views, samples)['loss_cls'].backward()
    assert all(p.grad is None for p in student.teacher.parameters())
    VisionTransformer(**SIZE).load_state_dict(
        {k.removeprefix('backbone.'): v
         for k, v in student.state_dict().items()
         if k.startswith('backbone.')}, strict=True)


def test_dino_student_approaches_the_teacher(tmp_path):
    """What the segments told the teacher, the student says without them."""
    images, _ = crops(count=4)
    views, samples = views_of(images)
    guided = dino()
    for name, u in guided.momentum_teacher.module.named_parameters():
        if 'segment_bias' in name:
            torch.nn.init.constant_(u, 9. if 'pos' in name else -9.)
        elif u.ndim > 1:
            # Attention as uneven as that of a trained encoder.
            torch.nn.init.normal_(u, std=.3)
    model = dino(
        backbone=SIZE, kind=DistilDINO,
        teacher=dict(
            type='sbam_mm.FrozenDINO',
            backbone=dict(type=VIT, learned_position=True, **GUIDED),
            head=DINO_HEAD, checkpoint=saved(guided, tmp_path)))
    optimizer = torch.optim.AdamW(
        [p for p in model.parameters() if p.requires_grad], lr=1e-4)
    divergence = []
    for _ in range(30):
        out = model.loss(views, samples)
        divergence.append(out['divergence'].item())
        optimizer.zero_grad()
        out['loss_cls'].backward()
        optimizer.step()
    # The teacher's entropy stays: all that falls is the distance.
    assert divergence[0] > .005
    assert 0 <= divergence[-1] < .3 * divergence[0]


def unequal_id():
    made = np.zeros((4, 4), np.uint8)
    made[0, 0] = 9
    return made


@pytest.mark.parametrize('data, words', [
    (None, "segment bias asks for 'segment_map'.*sbam_mm.LoadSegments"),
    ([DataSample()] * 2, 'sbam_mm.LoadSegments'),
    ([sample(np.zeros((2, 2), np.uint8))] * 2, r'4 x 4 patches'),
    ([sample([np.zeros((4, 4), np.uint8)])] * 2, 'MultiView'),
    ([sample(unequal_id())] * 2, 'max_segments=9'),
])
def test_missing_and_wrong_maps(data, words):
    with pytest.raises(ValueError, match=words) as error:
        mae().loss(torch.randn(2, 3, 32, 32), data)
    assert '\n' not in str(error.value)


def test_one_map_for_several_views():
    views, _ = views_of(torch.randn(2, 3, 32, 32))
    with pytest.raises(ValueError, match='one per view.*MultiView'):
        dino().loss(views, [sample(np.zeros((4, 4), np.uint8))] * 2)


def test_models_that_do_not_fit(tmp_path):
    plain = saved(mae(backbone=SIZE), tmp_path)
    with pytest.raises(ValueError, match='without the segment bias'):
        distil(plain)
    with pytest.raises(ValueError, match='no segment bias to learn from'):
        mae(SIZE, DistilMAE, teacher=FrozenTeacher(
            dict(type=VIT, **SIZE), plain))
    guided = saved(mae(), tmp_path)
    with pytest.raises(ValueError, match='the student is to be a plain ViT'):
        mae(GUIDED, DistilMAE, teacher=FrozenTeacher(
            dict(type=VIT, **GUIDED), guided))
    with pytest.raises(ValueError, match='choose teacher or scratch'):
        distil(guided, start='zero')
    with pytest.raises(ValueError, match='backbone.segment_bias=dict'):
        relations_to(MaskedViT(**SIZE), ids())
    with pytest.raises(ValueError, match='DINOHead|keys'):
        FrozenDINO(dict(type=VIT, **GUIDED), DINO_HEAD, guided)


FINE = dict(SIZE, patch_size=4)
WIDE = dict(SIZE, arch=dict(ARCH, embed_dims=48))


@pytest.mark.parametrize('student, options, words', [
    (FINE, dict(start='scratch'), 'patches of 4 pixels, the teacher of 8'),
    (SIZE, dict(weight=-1.), 'weight=-1.0 of the attention error would'),
    (SIZE, dict(weight=float('nan')), 'weight=nan'),
])
def test_mae_pairs_that_do_not_fit(tmp_path, student, options, words):
    teacher = FrozenTeacher(
        dict(type=VIT, **GUIDED), saved(mae(), tmp_path))
    with pytest.raises(ValueError, match=words):
        mae(student, DistilMAE, teacher=teacher, **options)


@pytest.mark.parametrize('student, options, words', [
    (FINE, dict(), 'patches of 4 pixels, the teacher of 8'),
    (WIDE, dict(), "the teacher's backbone, as which .* of other sizes"),
    (SIZE, dict(temperature=0.), 'temperature=0.0 makes no prob'),
    (SIZE, dict(head=dict(DINO_HEAD, out_dim=32), start='scratch'),
     '32 prototypes, the teacher 16'),
    (SIZE, dict(head=dict(DINO_HEAD, hidden_dim=32)),
     "the teacher's head, as which the student starts, .* of other sizes"),
    (SIZE, dict(teacher='MAE'), "type='sbam_mm.FrozenDINO'"),
])
def test_dino_pairs_that_do_not_fit(tmp_path, student, options, words):
    backbone = dict(type=VIT, learned_position=True)
    if options.get('teacher'):
        teacher = FrozenTeacher(
            dict(backbone, **GUIDED), saved(mae(), tmp_path))
    else:
        teacher = FrozenDINO(
            dict(backbone, **GUIDED), DINO_HEAD, saved(dino(), tmp_path))
    parts = dict(backbone=dict(backbone, **student), head=DINO_HEAD)
    with pytest.raises(ValueError, match=words):
        DistilDINO(**{**parts, **options, 'teacher': teacher})


@pytest.mark.parametrize('options, words', [
    (dict(sharing='fixed'), 'u_neg 2 x 3 instead of no parameters'),
    (dict(relations=['positive']), 'u_neg 2 x 3 instead of u_pos 2 x 3[)]'),
    (dict(sharing='shared'), 'u_pos 2 x 3 and .* instead of u_pos 1 x 1 and'),
])
def test_a_teacher_keeps_the_bias_it_learnt(tmp_path, options, words):
    """With other options it would be another teacher, and nobody knew."""
    backbone = dict(type=VIT, **{**SIZE, 'segment_bias': options})
    words += '.*give teacher.backbone the arch and segment_bias options'
    guided = saved(mae(), tmp_path)
    with pytest.raises(ValueError, match=words):
        FrozenTeacher(backbone, guided)
    # Without any segment bias it is a teacher of another kind.
    FrozenTeacher(dict(type=VIT, **SIZE), guided)
    with pytest.raises(ValueError, match=words):
        FrozenDINO(
            dict(backbone, learned_position=True), DINO_HEAD,
            saved(dino(), tmp_path))
