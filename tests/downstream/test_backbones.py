# Copyright (c) OpenMMLab. All rights reserved.
"""Transferred backbones compute what the pre-trained encoder computes."""
import dense_configs
import pytest
import torch
from mmpretrain.models import BEiTViT
from torch.nn.functional import scaled_dot_product_attention

from sbam_mm.downstream import DenseViT, RelativeViT, SimpleFPN, ViTDet
from sbam_mm.layers import decomposed_attention, to_windows
from sbam_mm.models import MaskedViT

pytestmark = pytest.mark.unit
ARCH = dict(
    embed_dims=24, num_layers=4, num_heads=3, feedforward_channels=48)
SIZE = dict(img_size=32, patch_size=8)


@pytest.fixture
def encoder():
    torch.manual_seed(0)
    vit = MaskedViT(ARCH, final_norm=False, **SIZE)
    return load(vit)


@pytest.fixture
def checkpoint(encoder, tmp_path):
    """A pre-training checkpoint as our runner writes it."""
    state = {f'backbone.{k}': v for k, v in encoder.state_dict().items()}
    state['neck.mask_token'] = torch.zeros(1, 1, 16)
    state['backbone.ln1.weight'] = torch.ones(24)
    path = tmp_path / 'epoch_1.pth'
    torch.save(dict(state_dict=state, meta=dict(epoch=1)), path)
    return dict(type='Pretrained', checkpoint=str(path))


def load(backbone):
    """With weights, in eval mode (mmpretrain's eval() returns None)."""
    backbone.init_weights()
    backbone.eval()
    return backbone


def as_map(tokens):
    return tokens[:, 1:].transpose(1, 2).unflatten(2, (4, 4))


@pytest.mark.parametrize('build', [
    lambda cfg: DenseViT(ARCH, out_indices=[3], init_cfg=cfg, **SIZE),
    lambda cfg: RelativeViT(ARCH, out_indices=[3], init_cfg=cfg, **SIZE),
    lambda cfg: ViTDet(
        ARCH, window_size=0, rel_pos_size=4, with_cls_token=True,
        init_cfg=cfg, **SIZE)
], ids=['DenseViT', 'RelativeViT', 'ViTDet'])  # yapf: disable
def test_features_are_those_of_the_encoder(encoder, checkpoint, build):
    images = torch.randn(2, 3, 32, 32)
    features, = load(build(checkpoint))(images)
    assert torch.allclose(features, as_map(encoder(images)[0]), atol=1e-5)


def test_detector_without_windows_is_the_encoder_without_class(
        encoder, checkpoint):
    images = torch.randn(2, 3, 32, 32)
    detector = load(
        ViTDet(ARCH, window_size=0, rel_pos_size=4, init_cfg=checkpoint,
               **SIZE))
    tokens = encoder.embed(images)
    for layer in encoder.layers:
        tokens = layer(tokens)
    wanted = tokens.transpose(1, 2).unflatten(2, (4, 4))
    assert torch.allclose(detector(images)[0], wanted, atol=1e-5)


def test_every_level_of_a_segmentor_is_a_block_of_the_encoder(
        encoder, checkpoint):
    images = torch.randn(1, 3, 32, 32)
    encoder.out_indices = [0, 2]
    maps = load(
        DenseViT(ARCH, out_indices=(0, 2), init_cfg=checkpoint,
                 **SIZE))(images)
    for own, tokens in zip(maps, encoder(images)):
        assert torch.allclose(own, as_map(tokens), atol=1e-5)


def explicit_attention(q, k, v, table_h, table_w, grid):
    """Decomposed relative positions written out pair by pair."""
    height, width = grid
    logits = q @ k.transpose(-1, -2) * q.shape[-1]**-0.5
    for i in range(height * width):
        for j in range(height * width):
            down = i // width - j // width + height - 1
            right = i % width - j % width + width - 1
            logits[..., i, j] += q[..., i, :] @ table_h[down]
            logits[..., i, j] += q[..., i, :] @ table_w[right]
    return logits.softmax(-1) @ v


def test_decomposed_attention_is_its_definition():
    torch.manual_seed(0)
    grid = (2, 3)
    q, k, v = torch.randn(3, 2, 2, 6, 5).double()
    table_h, table_w = torch.randn(3, 5).double(), torch.randn(5, 5).double()
    fused = decomposed_attention(q, k, v, table_h, table_w, grid)
    wanted = explicit_attention(q, k, v, table_h, table_w, grid)
    assert torch.allclose(fused, wanted, atol=1e-10)
    plain = scaled_dot_product_attention(q, k, v)
    assert (fused - plain).abs().max() > 0.1


def test_decomposed_attention_learns_its_tables():
    q, k, v = torch.randn(3, 1, 1, 4, 8)
    tables = [torch.zeros(3, 8, requires_grad=True) for _ in range(2)]
    decomposed_attention(q, k, v, *tables, (2, 2)).sum().backward()
    assert all(table.grad.abs().sum() > 0 for table in tables)


def test_a_class_token_takes_no_part_in_relative_positions():
    torch.manual_seed(0)
    q, k, v = torch.randn(3, 1, 2, 5, 8)
    tables = torch.randn(2, 3, 8)
    with_tables = decomposed_attention(q, k, v, *tables, (2, 2))
    plain = scaled_dot_product_attention(q, k, v)
    assert torch.allclose(with_tables[:, :, 0], plain[:, :, 0], atol=1e-6)
    # And with logits of zero to every patch, its weight as key is even.
    q[:, :, 1:] = 0
    with_tables = decomposed_attention(q, k, v, *tables, (2, 2))
    assert torch.allclose(
        with_tables[:, :, 1], v.mean(2), atol=1e-6)


def test_windowed_attention_is_a_loop_over_windows():
    torch.manual_seed(0)
    vit = ViTDet(
        ARCH, window_size=3, global_blocks=(), rel_pos_size=4, **SIZE)
    layer = vit.layers[0]
    for table in (layer.attn.rel_pos_h, layer.attn.rel_pos_w):
        torch.nn.init.normal_(table)
    x = torch.randn(2, 4 * 5, 24)
    out = layer(x, (4, 5))

    normed = torch.zeros(2, 6, 6, 24)
    normed[:, :4, :5] = layer.ln1(x).unflatten(1, (4, 5))
    attended = torch.zeros_like(normed)
    for top in (0, 3):
        for left in (0, 3):
            window = normed[:, top:top + 3, left:left + 3].flatten(1, 2)
            q, k, v = layer.attn.qkv(window).unflatten(
                -1, (3, 3, 8)).permute(2, 0, 3, 1, 4)
            seen = explicit_attention(q, k, v, layer.attn.rel_pos_h,
                                      layer.attn.rel_pos_w, (3, 3))
            seen = layer.attn.proj(seen.transpose(1, 2).flatten(2))
            attended[:, top:top + 3,
                     left:left + 3] = seen.unflatten(1, (3, 3))
    wanted = x + attended[:, :4, :5].flatten(1, 2)
    wanted = layer.ffn(layer.ln2(wanted), identity=wanted)
    assert torch.allclose(out, wanted, atol=1e-5)


def test_a_window_sees_nothing_outside():
    torch.manual_seed(0)
    vit = load(ViTDet(ARCH, window_size=2, global_blocks=(), **SIZE))
    images = torch.randn(1, 3, 32, 32)
    other = images.clone()
    other[..., 16:, 16:] += 1
    before, after = vit(images)[0], vit(other)[0]
    assert torch.equal(before[..., :2, :], after[..., :2, :])
    assert torch.equal(before[..., :2], after[..., :2])
    vit.layers[-1].window = 0
    assert not torch.equal(vit(images)[0][..., :2], vit(other)[0][..., :2])


def test_windows_of_one_image_are_its_own():
    x = torch.arange(2.).view(2, 1, 1, 1).expand(2, 4, 4, 1)
    windows = to_windows(x, 2)
    assert windows.flatten(1).amax(1).tolist() == [0] * 4 + [1] * 4


def test_quarters_end_in_global_blocks():
    def places(depth):
        arch = dict(ARCH, num_layers=depth)
        vit = ViTDet(arch, window_size=2, **SIZE)
        return [i for i, block in enumerate(vit.layers)
                if not block.window]

    assert places(12) == [2, 5, 8, 11]
    assert places(24) == [5, 11, 17, 23]


def test_recomputed_activations_change_no_gradient():
    torch.manual_seed(0)
    vit = ViTDet(ARCH, window_size=2, rel_pos_size=4, **SIZE)
    images = torch.randn(1, 3, 32, 32)
    gradients = []
    for with_cp in (False, True):
        for block in vit.layers:
            block.with_cp = with_cp
        vit.zero_grad()
        vit(images)[0].square().sum().backward()
        gradients.append([p.grad.clone() for p in vit.parameters()])
    for one, other in zip(*gradients):
        assert torch.allclose(one, other, atol=1e-6)


def test_relative_positions_are_added_to_the_logits():
    torch.manual_seed(0)
    vit = load(RelativeViT(ARCH, out_indices=[3], **SIZE))
    layers = vit.layers
    assert all(
        layer.attn.relative_position_bias_table.abs().sum() == 0
        for layer in layers)
    for layer in layers:
        torch.nn.init.normal_(layer.attn.relative_position_bias_table)
        torch.nn.init.normal_(layer.gamma_1)
    images = torch.randn(2, 3, 32, 32)
    fused, = vit(images)
    # mmpretrain's own pass builds the attention matrix.
    reference = BEiTViT(
        ARCH, out_type='raw', final_norm=False, bias=True,
        use_abs_pos_emb=True, use_rel_pos_bias=True,
        use_shared_rel_pos_bias=False, layer_scale_init_value=1., **SIZE)
    reference.pre_norm = torch.nn.Identity()
    reference.load_state_dict(vit.state_dict())
    x, = reference(images)
    assert torch.allclose(fused, as_map(x), atol=1e-5)
    assert layers[0].attn.with_own_positions(None).shape == (3, 17, 17)


def test_pyramid_keeps_places():
    """A change in one corner stays in that corner, at every level."""
    torch.manual_seed(0)
    neck = SimpleFPN(8, out_channels=4)
    x = torch.zeros(1, 8, 8, 8)
    y = x.clone()
    y[..., 0, 0] = 1
    for before, after in zip(neck((x, )), neck((y, ))):
        changed = (before - after).abs().sum(1)[0]
        size = changed.shape[-1]
        assert changed[0, 0] > 0
        assert size < 4 or changed[size // 2:, size // 2:].sum() == 0


@pytest.mark.parametrize('build, words', [
    (lambda: ViTDet(ARCH, with_cls_token=True, **SIZE), 'class token'),
    (lambda: ViTDet(ARCH, global_blocks=(4, ), **SIZE), 'do not exist'),
    (lambda: ViTDet(ARCH, img_size=30, patch_size=8), 'do not tile'),
    (lambda: ViTDet(ARCH, **SIZE)(torch.zeros(1, 3, 20, 32)), 'do not tile'),
    (lambda: DenseViT(ARCH, img_size=30, patch_size=8), 'do not tile'),
    (lambda: RelativeViT(ARCH, out_indices=[3], **SIZE)(torch.zeros(
        1, 3, 64, 64)), 'test_cfg'),
    (lambda: SimpleFPN(8, num_outs=3), 'num_outs'),
])  # yapf: disable
def test_bad_options_get_one_sentence(build, words):
    with pytest.raises(ValueError, match=words) as error:
        build()
    assert str(error.value).count('. ') == 0


def test_the_recipe_is_that_of_mmseg():
    """The same names, shapes and features as mmseg's backbone MAE."""
    dense_configs.require('mmseg')
    from mmseg.models.backbones import MAE
    torch.manual_seed(0)
    ours = load(RelativeViT(ARCH, out_indices=[1, 3], **SIZE))
    for parameter in ours.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    theirs = MAE(
        img_size=(32, 32), patch_size=8, embed_dims=24, num_layers=4,
        num_heads=3, mlp_ratio=2, init_values=1., out_indices=[1, 3],
        norm_cfg=dict(type='LN', eps=1e-6))
    theirs.load_state_dict(ours.state_dict())
    theirs.eval()
    images = torch.randn(2, 3, 32, 32)
    for own, other in zip(ours(images), theirs(images)):
        assert torch.allclose(own, other, rtol=1e-4, atol=1e-4)
