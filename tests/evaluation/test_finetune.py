# Copyright (c) OpenMMLab. All rights reserved.
"""A fine-tuning config gets an encoder, its images and another length."""
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner
from PIL import Image

from sbam_mm.evaluation.encoders import encoder_recipe
from sbam_mm.evaluation.finetune import CONFIGS as METHODS
from sbam_mm.evaluation.finetune import (
    finetune_config,
    finetune_recipe,
    pretraining_method,
)
from sbam_mm.evaluation.image_sets import ImageSet

pytestmark = pytest.mark.unit
ROOT = Path(__file__).resolve().parents[2]
CONFIGS = ROOT / 'configs'
IMAGES = ImageSet(
    'toy', '/nowhere', ('a', 'b', 'c'),
    tuple((f'train/{i % 3}/{i}.png', i % 3) for i in range(300)),
    (('test/0/0.png', 0), ))


def config(tmp_path, name='finetune/vitb_100e.py', **options):
    recipe = encoder_recipe(arch='tiny', patch=8, size=64)
    return finetune_config(recipe, IMAGES, 'a.pth', tmp_path, CONFIGS / name,
                           192, **options)


def test_measures_and_schedule(tmp_path):
    cfg = config(tmp_path, epochs=20, batch_size=30, seed=5)
    assert cfg.model.backbone.img_size == 64
    assert cfg.model.backbone.out_type == 'avg_featmap'
    assert cfg.model.backbone.drop_path_rate == 0.1
    assert (cfg.model.head.num_classes, cfg.model.head.in_channels) == (3, 192)
    assert cfg.data_preprocessor.num_classes == 3
    assert cfg.train_dataloader.dataset.pipeline[0]['scale'] == 64
    assert cfg.val_evaluator.topk == (1, 3)
    warm_up, cosine = cfg.param_scheduler
    assert (warm_up.end, cosine.begin, cosine.end) == (1, 1, 20)
    assert cosine.T_max == 19 and cfg.train_cfg.max_epochs == 20
    assert cfg.auto_scale_lr.base_batch_size == 1024 and (
        cfg.auto_scale_lr.enable)
    assert cfg.randomness.seed == 5
    hook = cfg.custom_hooks[-1]
    assert (hook.checkpoint, hook.branch) == ('a.pth', 'teacher')
    # One epoch of ten steps: the warm-up is still a step.
    warm_up, _ = config(tmp_path, epochs=1, batch_size=30).param_scheduler
    assert int(warm_up.end * 10) == 1


def test_recipes_of_the_papers(tmp_path):
    for name, decay, epochs, lr, path in (
            ('vitb_100e', .65, 100, 2e-3, .1),
            ('vitl_50e', .75, 50, 4e-3, .2),
            ('gpa_vitb_100e', .8, 100, 2e-3, .1),
            ('ibot_vitb_100e', .65, 100, 1e-3, .2),
            ('ibot_vits_200e', .75, 200, 1e-3, .1)):
        cfg = config(tmp_path, f'finetune/{name}.py')
        wrapper = cfg.optim_wrapper
        assert wrapper.paramwise_cfg.layer_decay_rate == decay, name
        assert wrapper.optimizer.lr == pytest.approx(lr), name
        assert cfg.train_cfg.max_epochs == epochs, name
        assert cfg.model.backbone.drop_path_rate == path, name
        warm_up, cosine = cfg.param_scheduler
        assert (warm_up.end, cosine.end, cosine.T_max) == (
            5, epochs, epochs - 5), name
        # Never below 1e-6 at the head.
        assert cosine.eta_min_ratio * lr == pytest.approx(1e-6), name
        mixup, cutmix = cfg.model.train_cfg.augments
        assert (mixup.alpha, cutmix.alpha) == (.8, 1.)
        assert cfg.model.head.loss.label_smooth_val == .1


def test_a_recipe_says_what_stands_for_an_image(tmp_path):
    """AMT's: the class token behind the encoder's own norm."""
    for name, pooled, norm in (('vitb_100e', 'avg_featmap', False),
                               ('amt_vitb_100e', 'cls_token', True),
                               ('amt_simmim_vitb_100e', 'cls_token', True)):
        backbone = config(tmp_path, f'finetune/{name}.py').model.backbone
        assert (backbone.out_type, backbone.final_norm) == (pooled, norm)


def test_recipe_by_method_width_and_size():
    found = [finetune_recipe(*asked) for asked in (
        (384, 224, 'iBOT'), (768, 224, 'iBOT'), (768, 96, 'MAE'),
        (1024, 224, 'MAE'), (768, 224, 'BootMAE'), (768, 224, 'CMAE'),
        (768, 224, 'SimMIM'), (1280, 64, None), (96, 32, 'iBOT'))]
    assert found == [f'finetune/{name}.py' for name in (
        'ibot_vits_200e', 'ibot_vitb_100e', 'vitb_100e', 'vitl_50e',
        'bootmae_vitb_100e', 'cmae_vitb_100e', 'simmim_vitb_100e', 'small',
        'small')]
    assert all((CONFIGS / path).is_file() for path in METHODS.values())
    # Neither ViT-H nor ViT-Ti has one.
    for width in (1280, 192):
        with pytest.raises(ValueError, match=f'encoder {width} wide; choose'):
            finetune_recipe(width, 224, 'MAE')


@pytest.mark.parametrize('method, told', [
    (None, 'does not say how it was pre-trained'),
    ('MAE', 'no fine-tuning recipe of MAE is known for an encoder 384'),
    ('DINO', 'no fine-tuning recipe of DINO is known for an encoder 384'),
])
def test_what_is_not_known_is_asked_for(method, told):
    with pytest.raises(ValueError, match=told) as caught:
        finetune_recipe(384, 224, method)
    assert ('--set finetune.config=FILE (configs/finetune/'
            'convmae_small_100e.py, configs/finetune/ibot_vits_200e.py)'
            ) in str(caught.value)


def test_a_checkpoint_says_how_it_was_trained(tmp_path):
    own = ROOT / 'configs/ibot/ibot_vitb_100e.py'
    text = Config.fromfile(own).pretty_text
    for name, meta in (
            ('ours', dict(cfg=text)), ('bare', {}),
            ('strange', dict(cfg='model = dict(type=open("x"))')),
            ('broken', dict(cfg='model = (')),
            ('theirs', dict(cfg="model = {'type': 'mmpretrain.SimMIM'}"))):
        torch.save(dict(meta=meta, state_dict={}), tmp_path / f'{name}.pth')
    found = {name: pretraining_method(tmp_path / f'{name}.pth') for name in (
        'ours', 'bare', 'strange', 'broken', 'theirs')}
    assert found == dict(ours='iBOT', bare=None, strange=None, broken=None,
                         theirs='SimMIM')
    # The config it was trained with is second to what it says itself.
    mae = ROOT / 'configs/sbam_mae_vitb_400e.py'
    assert pretraining_method(tmp_path / 'bare.pth', mae) == 'MAE'
    assert pretraining_method(tmp_path / 'ours.pth', mae) == 'iBOT'


def test_only_small_images_are_kept_in_memory(tmp_path):
    for size, cache in ((32, True), (224, False)):
        cfg = finetune_config(
            encoder_recipe(arch='tiny', size=size), IMAGES, 'a.pth', tmp_path,
            CONFIGS / 'finetune/small.py', 192)
        assert cfg.train_dataloader.dataset.cache is cache


@pytest.fixture
def fine_tune(tmp_path):
    """Trains an epoch at rate 0: the weights stay those it began with."""
    rng = np.random.default_rng(0)
    samples = []
    for i in range(8):
        path = tmp_path / 'images' / f'{i}.png'
        path.parent.mkdir(exist_ok=True)
        pixels = rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path)
        samples.append((path.name, i % 2))
    images = ImageSet('tiny', str(tmp_path / 'images'), ('a', 'b'),
                      tuple(samples), tuple(samples[:2]))
    recipe = encoder_recipe(CONFIGS / 'small' / 'mae_small.py')

    def run(epochs):
        cfg = finetune_config(
            recipe, images, tmp_path / 'a.pth', tmp_path / 'run',
            CONFIGS / 'finetune/small.py', 96, epochs=epochs, num_workers=0,
            options={'optim_wrapper.optimizer.lr': 0.})
        cfg.experiment_name = f'{tmp_path.name}-{epochs}'
        runner = Runner.from_cfg(cfg)
        runner.train()
        return runner.model.backbone.state_dict()

    return recipe, run


def write(recipe, path, leave_out=()):
    """A checkpoint with new weights; returns those of the encoder."""
    state = recipe.build().state_dict()
    torch.save(dict(state_dict={
        f'backbone.{key}': value for key, value in state.items()
        if key not in leave_out}), path)
    return state


@pytest.mark.integration
def test_hook_loads_every_parameter_once_or_stops(
        fine_tune, tmp_path, monkeypatch):
    monkeypatch.setenv('SBAM_MM_RESUME_ANYWAY', '1')  # an epoch longer
    recipe, run = fine_tune
    write(recipe, tmp_path / 'a.pth', ['layers.3.ln2.bias'])
    with pytest.raises(ValueError, match='lacks 1 '):
        run(epochs=1)
    source = write(recipe, tmp_path / 'a.pth')
    found = run(epochs=1)
    assert set(source) - {'ln1.weight', 'ln1.bias'} <= set(found)
    loaded = {key: value for key, value in found.items()
              if not key.startswith('ln2.')}
    for key, value in loaded.items():
        assert torch.equal(value, source[key]), key
    # What a stopped run has learnt is not overwritten when it goes on.
    write(recipe, tmp_path / 'a.pth')
    for key, value in run(epochs=2).items():
        assert torch.equal(value, found[key]), key


def test_sentences(tmp_path):
    with pytest.raises(ValueError, match="none.py' does not exist"):
        config(tmp_path, 'none.py')
    with pytest.raises(ValueError, match='fine-tunes no encoder'):
        config(tmp_path, 'small/mae_small.py')
