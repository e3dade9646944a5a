# Copyright (c) OpenMMLab. All rights reserved.
"""Folders, shards and prefixes are read wherever a checkpoint is asked for."""
import json
import logging
from types import SimpleNamespace

import golden_files
import pytest
import torch
from mmengine.config import Config
from safetensors.torch import load_file, save_file

from sbam_mm.evaluation.encoders import encoder_recipe, file_hash, parts_in
from sbam_mm.hub.stated_model import TIMM_OPTIONS, stated_model
from sbam_mm.models.checkpoint import (
    load_weights,
    read_checkpoint,
    write_weights,
)
from sbam_mm.models.checkpoint_formats import from_ours, to_ours
from sbam_mm.models.position_tables import stored_grids
from sbam_mm.models.pretrained_encoder import load_encoder
from sbam_mm.models.teachers import FrozenTeacher
from sbam_mm.registry import HOOKS, MODELS

pytestmark = pytest.mark.unit

TINY = dict(
    type='sbam_mm.MaskedViT',
    arch=dict(
        embed_dims=24, num_layers=2, num_heads=3, feedforward_channels=96),
    img_size=32,
    patch_size=8)
SHARDS = [f'model-0000{i}-of-00003.safetensors' for i in (1, 2, 3)]


def vit(**options):
    return MODELS.build(dict(TINY, **options))


def weights(golden):
    return {key[3:]: value
            for key, value in golden.items() if key.startswith('sd/')}


@pytest.fixture
def state():
    return weights(golden_files.load('hf_vit_mae'))


@pytest.fixture
def folder(tmp_path, state):
    """A folder of three shards, as transformers writes them."""
    place = tmp_path / 'mae'
    place.mkdir()
    keys = sorted(state)
    index = {}
    for i, name in enumerate(SHARDS):
        part = keys[i::3]
        save_file({key: state[key] for key in part}, place / name)
        index.update(dict.fromkeys(part, name))
    write_index(place, index)
    (place / 'config.json').write_text(
        json.dumps(dict(model_type='vit_mae', image_size=32, patch_size=8)))
    return place


def write_index(place, index):
    (place / 'model.safetensors.index.json').write_text(
        json.dumps(dict(metadata=dict(total_size=1), weight_map=index)))


def index_of(place):
    return json.loads((place / 'model.safetensors.index.json').read_text())[
        'weight_map']


def same(one, other):
    return set(one) == set(other) and all(
        torch.equal(one[key], other[key]) for key in other)


def test_shards_are_put_together(folder, state):
    for path in (folder, folder / 'model.safetensors.index.json'):
        read = read_checkpoint(str(path))
        assert same(read, state)
        assert stored_grids(read) == {(4, 4)}


def test_one_file_whichever(tmp_path, state):
    for name in ('model.safetensors', 'pytorch_model.bin'):
        place = tmp_path / name.split('.')[0]
        write_weights(str(place / name), state)
        assert same(read_checkpoint(str(place)), state)
    # Weights in safetensors come first: they cannot hold code.
    write_weights(str(tmp_path / 'pytorch_model' / 'model.safetensors'),
                  dict(a=torch.ones(1)))
    assert set(read_checkpoint(str(tmp_path / 'pytorch_model'))) == {'a'}


def remove_shard(folder):
    (folder / SHARDS[1]).unlink()


def exchange_shards(folder):
    (folder / SHARDS[1]).write_bytes((folder / SHARDS[0]).read_bytes())


def cut_shard(folder):
    content = (folder / SHARDS[1]).read_bytes()
    (folder / SHARDS[1]).write_bytes(content[:len(content) // 2])


def name_elsewhere(folder):
    write_index(folder, dict(index_of(folder), x='../x.safetensors'))


def empty_index(folder):
    write_index(folder, {})


def no_index(folder):
    (folder / 'model.safetensors.index.json').write_text('{"weight_map": 3}')


def remove_weights(folder):
    for file in folder.glob('model*'):
        file.unlink()


@pytest.mark.parametrize('harm, words', [
    (remove_shard, f'lacks 1 of the 3 files that .* names .{SHARDS[1]}'),
    (exchange_shards, rf'{SHARDS[1]} lacks \d+ tensors that the index'),
    (cut_shard, f'{SHARDS[1]} cannot be read as a checkpoint'),
    (name_elsewhere, r"is damaged .it names '../x.safetensors'"),
    (empty_index, 'lacks 0 of the 0 files'),
    (no_index, "is damaged .'weight_map' is 3"),
    (remove_weights, 'has no weights .model.safetensors, pytorch_model.bin'),
])
def test_damaged_folders_are_refused(folder, harm, words):
    harm(folder)
    with pytest.raises(ValueError, match=words) as error:
        read_checkpoint(str(folder))
    assert '\n' not in str(error.value) and str(error.value).endswith('.')


def test_every_reader_takes_a_folder(folder, state):
    wanted = to_ours(state).state
    model = vit()
    assert load_weights(model, folder, 1.).share == 1
    backbone = vit()
    assert not load_encoder(backbone, folder).missing
    teacher = FrozenTeacher(dict(TINY), str(folder)).state_dict()
    for own in (model.state_dict(), backbone.state_dict()):
        assert all(torch.equal(own[key], wanted[f'backbone.{key}'])
                   for key in own)
    assert all(torch.equal(value, wanted[key])
               for key, value in teacher.items())
    # A hash of all files: another shard, another checkpoint.
    before = file_hash(folder)
    shard = load_file(folder / SHARDS[2])
    save_file({key: value + 1 for key, value in shard.items()},
              folder / SHARDS[2])
    assert file_hash(folder) != before


def test_load_from_is_a_folder(folder, tiny_mae):
    """mmengine hands what the hook says to our own reader."""
    from mmengine.runner.checkpoint import CheckpointLoader
    hook = HOOKS.build(dict(type='sbam_mm.CheckpointKeysHook'))
    runner = SimpleNamespace(_load_from=str(folder), _resume=False,
                             logger=logging.getLogger('test'))
    hook.before_run(runner)
    read = CheckpointLoader.load_checkpoint(runner._load_from, 'cpu')
    model = tiny_mae(neck=dict(decoder_depth=2),
                     arch=dict(TINY['arch']))
    runner.model = model
    hook.after_load_checkpoint(runner, read)
    assert same(read['state_dict'], to_ours(load_folder(folder)).state)
    model.load_state_dict(read['state_dict'])


def load_folder(folder):
    return {key: value for shard in SHARDS
            for key, value in load_file(folder / shard).items()}


def test_grid_of_a_folder(tmp_path):
    """config.json says which of 2 x 8, 4 x 4 and 8 x 2 patches there are."""
    model = vit(img_size=(16, 64))
    torch.nn.init.normal_(model.pos_embed.data)
    state = {f'backbone.{key}': value
             for key, value in model.state_dict().items()}
    for target, config in (
            ('hf', dict(model_type='vit', image_size=[16, 64], patch_size=8)),
            ('timm', dict(model_args=dict(img_size=[16, 64],
                                          patch_size=8)))):
        place = tmp_path / target
        written = from_ours(state, target, 'encoder').state
        write_weights(str(place / 'model.safetensors'), written)
        with pytest.raises(ValueError, match='does not say for which grid'):
            load_weights(vit(img_size=(16, 64)), place)
        (place / 'config.json').write_text(json.dumps(config))
        back = vit(img_size=(16, 64))
        load_weights(back, place, 1.)
        assert torch.equal(back.pos_embed, model.pos_embed)


@pytest.mark.parametrize('prefix', ['model.', 'model.vit.', 'encoder.',
                                    'net._orig_mod.module.', 'backbone.net.'])
@pytest.mark.parametrize('name', ['timm_vit', 'hf_vit', 'hf_vit_mae'])
def test_prefixes(name, prefix):
    plain = weights(golden_files.load(name))
    wanted = to_ours(plain)
    state = {f'{prefix}{key}': value for key, value in plain.items()}
    others = {'criterion.centre': torch.ones(2), 'step': torch.ones(1)}
    for extra in ({}, others):
        done = to_ours({**state, **extra})
        assert same(done.state, wanted.state)
        dropped = [key.removeprefix('vit.') for key in done.dropped]
        assert dropped == wanted.dropped + list(extra)
        assert prefix.startswith(done.prefix) or done.prefix == prefix


def test_of_two_encoders_none_is_chosen():
    plain = weights(golden_files.load('timm_vit'))
    state = {f'{who}.{key}': value for who in ('student', 'teacher')
             for key, value in plain.items()}
    assert to_ours(state).format is None


@pytest.mark.parametrize('registers', [False, True])
@pytest.mark.parametrize('classifier', [False, True])
def test_dinov2_of_transformers(tmp_path, registers, classifier):
    """Its tokens, also of images of another size than it was trained with.

    With registers the library smooths positions before it resizes them.
    """
    transformers = pytest.importorskip('transformers')
    name = 'Dinov2WithRegisters' if registers else 'Dinov2'
    config = getattr(transformers, f'{name}Config')(
        hidden_size=24, num_hidden_layers=2, num_attention_heads=3,
        image_size=40, patch_size=8, layerscale_value=0.5)
    kind = f'{name}{"ForImageClassification" if classifier else "Model"}'
    torch.manual_seed(0)
    model = getattr(transformers, kind)(config).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter.data, std=0.2)
    model.save_pretrained(tmp_path, max_shard_size='20KB')
    assert len(list(tmp_path.glob('model-*.safetensors'))) > 1
    size = 40 if registers else 48
    (tmp_path / 'preprocessor_config.json').write_text(json.dumps(dict(
        crop_size=dict(height=size, width=size), image_mean=[0.5, 0.4, 0.3],
        image_std=[0.1, 0.2, 0.3])))
    recipe, backbone = evaluated(tmp_path)
    assert recipe.size == size
    assert recipe.normalise['mean'] == [127.5, 102., 76.5]
    images = torch.randn(2, 3, size, size)
    vit = getattr(model, model.base_model_prefix) if classifier else model
    with torch.no_grad():
        theirs = vit(images).last_hidden_state
        ours = backbone(images)[0]
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


def evaluated(folder):
    """The encoder that evaluate.py builds of a folder, and its recipe."""
    recipe = encoder_recipe(Config(dict(model=stated_model(folder))))
    recipe.backbone.update(parts_in(str(folder)))
    backbone = recipe.build()
    backbone.eval()
    load_encoder(backbone, folder)
    return recipe, backbone


@pytest.mark.parametrize('name', ['ViT', 'DeiT'])
def test_vits_of_transformers(tmp_path, name):
    transformers = pytest.importorskip('transformers')
    config = getattr(transformers, f'{name}Config')(
        hidden_size=24, num_hidden_layers=2, num_attention_heads=3,
        intermediate_size=40, image_size=32, patch_size=8, qkv_bias=False,
        layer_norm_eps=1e-3)
    torch.manual_seed(0)
    model = getattr(transformers, f'{name}Model')(config).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter.data, std=0.2)
    model.save_pretrained(tmp_path)
    recipe, backbone = evaluated(tmp_path)
    # As the library's image processor does where nothing is said.
    assert recipe.normalise['mean'] == [127.5] * 3
    images = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        theirs = model(images).last_hidden_state
        ours = backbone(images)[0]
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize('config, words', [
    (dict(model_type='vit', hidden_size=24), "KeyError: 'num_hidden_layers'"),
    (dict(model_type='vit', hidden_act='relu'), "hidden_act 'relu'"),
    (dict(model_args=dict.fromkeys(TIMM_OPTIONS),
          pretrained_cfg=dict(mean=[1], std=[1])), 'TypeError'),
])
def test_config_of_no_vit(tmp_path, config, words):
    (tmp_path / 'config.json').write_text(json.dumps(config))
    with pytest.raises(ValueError, match=words) as error:
        stated_model(tmp_path)
    assert '--arch or --config' in str(error.value)


def test_configs_that_say_nothing(tmp_path):
    assert stated_model(tmp_path) is None
    for config in (dict(model_type='clip'), dict(architecture='vit_tiny'),
                   dict(model_args=dict(img_size=518))):
        (tmp_path / 'config.json').write_text(json.dumps(config))
        assert stated_model(tmp_path) is None
