# Copyright (c) OpenMMLab. All rights reserved.
"""Files of DINOv2 and DeiT as encoders: features are those of the libraries.

With registers and distillation tokens, layer scale and SwiGLU.
"""
import json

import pytest
import safetensors.torch
import torch
from library_vits import HF, SHORT, SMALL, hf_folder, randomise

from sbam_mm.evaluation.encoders import encoder_recipe, file_hash, parts_in
from sbam_mm.evaluation.features import encode
from sbam_mm.models import MaskedViT
from sbam_mm.models.backbones.vit_attention import (
    input_tokens,
    patch_attention,
    run_whole,
)
from sbam_mm.models.checkpoint import load_weights
from sbam_mm.models.checkpoint_formats import from_ours, to_ours
from sbam_mm.models.pretrained_encoder import load_encoder
from sbam_mm.models.teachers import FrozenTeacher

pytestmark = pytest.mark.unit
ARCH = dict(
    embed_dims=24, num_layers=3, num_heads=3, feedforward_channels=96)


def encoder_from(path, patch, **options):
    """What tools/evaluate.py builds without a config."""
    recipe = encoder_recipe(arch=ARCH, patch=patch, size=4 * patch)
    recipe.backbone.update(parts_in(str(path)), **options)
    backbone = recipe.build()
    report = load_encoder(backbone, str(path))
    assert not report.missing and not report.unexpected
    backbone.eval()  # mmpretrain's returns nothing
    return backbone


@pytest.fixture(params=[
    ('vit_small_patch14_dinov2', 0), ('vit_small_patch14_reg4_dinov2', 4),
    ('deit_tiny_distilled_patch16_224', 1)], ids=lambda one: one[0])
def timm_file(request, tmp_path):
    """A random small model of timm, its file, and tokens beside the class."""
    timm = pytest.importorskip('timm')
    name, extra = request.param
    patch = 14 if 'patch14' in name else 16
    model = randomise(timm.create_model(
        name, **dict(SMALL, img_size=4 * patch, num_classes=5)))
    path = tmp_path / 'x.safetensors'
    safetensors.torch.save_file(model.state_dict(), path)
    return model, path, patch, extra


def test_features_are_those_of_timm(timm_file):
    model, path, patch, extra = timm_file
    images = torch.randn(2, 3, 4 * patch, 4 * patch)
    with torch.no_grad():
        wanted = model.forward_features(images)
        encoder = encoder_from(path, patch)
        tokens = encode(encoder, images)
        assert encoder.num_extra_tokens == 1 + extra
        torch.testing.assert_close(
            encoder(images)[0], wanted, rtol=1e-4, atol=1e-5)
        # As teachers and probes of several blocks run it.
        x = run_whole(encoder, input_tokens(encoder, images), 3)
        torch.testing.assert_close(
            encoder.ln1(x), wanted, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(
        tokens.cls[-1], wanted[:, 0], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(
        tokens.patches, wanted[:, 1 + extra:], rtol=1e-4, atol=1e-5)
    # A teacher of the same architecture reads the file, too.
    teacher = FrozenTeacher(encoder_recipe(
        arch=ARCH, patch=patch, size=4 * patch).backbone | parts_in(str(path)),
        str(path))
    torch.testing.assert_close(
        teacher.attention(images, (4, 4), 1),
        patch_attention(encoder, input_tokens(encoder, images), 1))


def test_official_names_of_registers(timm_file):
    """DINOv2's own files: a position for the class token, a mask token."""
    model, path, patch, extra = timm_file
    if extra != 4:
        pytest.skip('has no registers')
    state = {key: value for key, value in model.state_dict().items()
             if not key.startswith('head')}
    first = torch.randn(1, 1, 24)
    state['cls_token'] = state['cls_token'] - first
    state['pos_embed'] = torch.cat([first, state['pos_embed']], 1)
    state['register_tokens'] = state.pop('reg_token')
    state['mask_token'] = torch.randn(1, 24)
    official = path.with_name('official.pth')
    torch.save(state, official)
    images = torch.randn(2, 3, 4 * patch, 4 * patch)
    with torch.no_grad():
        torch.testing.assert_close(
            encoder_from(official, patch)(images)[0],
            model.forward_features(images), rtol=1e-4, atol=1e-5)
    # Saved by us, it is read again as it is.
    ours = encoder_from(official, patch).state_dict()
    again = to_ours(ours).state
    assert {f'backbone.{key}' for key in ours} == set(again)
    for key, value in ours.items():
        assert torch.equal(value, again[f'backbone.{key}'])


def test_dinov2_is_written_for_transformers(timm_file, tmp_path):
    """What `convert_checkpoint.py --to hf-dinov2` writes."""
    transformers = pytest.importorskip('transformers')
    model, path, patch, extra = timm_file
    if extra:
        pytest.skip('has more than the class token')
    transformers.Dinov2Config(**SHORT | dict(
        image_size=4 * patch, patch_size=patch, mlp_ratio=4)).save_pretrained(
            tmp_path)
    written = from_ours(to_ours(model.state_dict()).state, 'hf-dinov2')
    assert not written.dropped
    safetensors.torch.save_file(
        written.state, tmp_path / 'model.safetensors', dict(format='pt'))
    theirs, report = transformers.Dinov2Model.from_pretrained(
        tmp_path, output_loading_info=True)
    # Of pre-training, and random.
    assert {*report['missing_keys']} <= {'embeddings.mask_token'}
    images = torch.randn(2, 3, 4 * patch, 4 * patch)
    with torch.no_grad():
        torch.testing.assert_close(
            theirs.eval()(images).last_hidden_state,
            model.forward_features(images), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('name', [
    'DeiT distilled', 'DINOv2', 'DINOv2 with registers'])
def test_features_are_those_of_transformers(name, tmp_path):
    """A folder in several files, as a checkpoint."""
    model = hf_folder(name, tmp_path, max_shard_size='20KB')
    index = tmp_path / 'model.safetensors.index.json'
    assert len(set(json.loads(index.read_text())['weight_map'].values())) > 2
    options = dict(norm_cfg=dict(type='LN', eps=model.config.layer_norm_eps))
    ffn = {'DeiT distilled': 48, 'DINOv2': 96}.get(name, 96)
    encoder = encoder_from(
        tmp_path, 8, arch=dict(ARCH, feedforward_channels=ffn), **options)
    images = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(
            encoder(images)[0], model(images).last_hidden_state,
            rtol=1e-4, atol=1e-5)
    assert encoder.num_extra_tokens == HF[name][2]
    before = file_hash(tmp_path)
    shard = sorted(tmp_path.glob('model-*.safetensors'))[-1]
    shard.write_bytes(shard.read_bytes() + b' ')
    assert file_hash(tmp_path) != before


def test_a_plain_vit_refuses_registers(timm_file):
    model, path, patch, extra = timm_file
    if not extra:
        pytest.skip('is a plain ViT')
    vit = MaskedViT(ARCH, img_size=4 * patch, patch_size=patch,
                    layer_scale_init_value=1e-5 if extra == 4 else 0)
    for action in (lambda: load_encoder(vit, str(path)),
                   lambda: load_weights(vit, str(path))):
        with pytest.raises(ValueError) as error:
            action()
        assert '\n' not in str(error.value)
        kind = 'RegisterViT' if extra == 4 else 'DistilledVisionTransformer'
        assert "build it with type='" in str(error.value)
        assert kind in str(error.value)
