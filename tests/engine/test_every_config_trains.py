# Copyright (c) OpenMMLab. All rights reserved.
"""Every small config, and every masker by its name, trains two epochs on
photographs and resumes to the bit."""
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from library_vits import hf_folder
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.registry import DefaultScope
from mmengine.runner import Runner
from PIL import Image
from small_runs import MASKED, small

from sbam_mm.config_files import read_config
from sbam_mm.datasets import ImageFolder, save_maps
from sbam_mm.engine.launch import replace_amp
from sbam_mm.registry import MODELS
from sbam_mm.segments.maps import Felzenszwalb, id_map
from sbam_mm.visualization import load_image, photographs

ROOT = Path(__file__).parents[2]
CONFIGS = sorted([
    *(ROOT / 'configs/small').glob('*.py'),
    *(ROOT / 'configs/ablations').glob('*_small.py')
])
CASES = [*(str(path.relative_to(ROOT / 'configs')) for path in CONFIGS),
         *MASKED]
# A ViT-S, and a teacher of the library that another test has already.
LARGE = ('small/mae_stl10_vits_100e.py',
         'small/mae_stl10_dinov2_teacher_small.py',
         'small/segment_bias_dino_small.py',
         'small/segment_distill_dino_small.py')
TRAIN, TEST = 8, 4

pytestmark = pytest.mark.integration


class Losses(Hook):
    """Notes what every step returns."""

    def __init__(self):
        self.steps = []

    def after_train_iter(self, runner, batch_idx, data_batch=None,
                         outputs=None):
        self.steps.append({k: float(v) for k, v in outputs.items()})


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    """Crops of photographs, in class folders named after the photograph."""
    root = tmp_path_factory.mktemp('data')
    generator = np.random.default_rng(0)
    for name, picture in list(photographs().items())[:2]:
        for part, count in (('train', TRAIN), ('test', TEST)):
            folder = root / part / name
            folder.mkdir(parents=True)
            for i in range(count):
                y = generator.integers(picture.shape[0] - 96)
                x = generator.integers(picture.shape[1] - 96)
                crop = picture[y:y + 96, x:x + 96]
                Image.fromarray(crop).resize((40, 36)).save(
                    folder / f'{i}.jpg')
    # The same as STL-10 has them, with an object in the middle of each.
    (root / 'images').symlink_to(root)
    (root / 'val').symlink_to(root / 'test')
    names = [f'val/{folder.name}/{i}' for folder in (root / 'test').iterdir()
             for i in range(TEST)]
    cells = np.zeros((len(names), 4, 4), bool)
    cells[:, 1:3, 1:3] = True
    np.savez(root / 'object_masks.npz', names=names, shape=(4, 4),
             masks=np.packbits(cells.reshape(len(names), -1), axis=1))
    return root


@pytest.fixture(scope='module')
def teacher(tmp_path_factory):
    """Weights of the small encoder, as a frozen teacher's."""
    path = tmp_path_factory.mktemp('teacher') / 'mae_small.pth'
    cfg = Config.fromfile(ROOT / 'configs/small/mae_small.py')
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        model = MODELS.build(cfg.model)
    model.init_weights()
    torch.save(model.state_dict(), path)
    return path


@pytest.fixture(scope='module')
def large_teacher(tmp_path_factory):
    """Random weights of the ViT-S/14 that one config asks what to hide."""
    path = tmp_path_factory.mktemp('teacher') / 'vit_small_patch14.pth'
    cfg = Config.fromfile(ROOT / 'configs/small/mae_stl10_teacher_small.py')
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        vit = MODELS.build(cfg.custom_hooks[0].teacher.backbone)
    torch.save({f'backbone.{name}': value
                for name, value in vit.state_dict().items()}, path)
    return path


@pytest.fixture(scope='module')
def part_maps(data, tmp_path_factory):
    path = tmp_path_factory.mktemp('parts') / 'part_maps.npy'
    generator = np.random.default_rng(0)
    maps = generator.integers(0, 3, (2 * TRAIN, 8, 8)).astype(np.uint8)
    dataset = ImageFolder(data_root=str(data), data_prefix='train')
    save_maps(path, maps, dataset, 'drawn at random')
    return path


@pytest.fixture(scope='module')
def segments(data, tmp_path_factory):
    """The segments of Felzenszwalb, at the size of the images."""
    path = tmp_path_factory.mktemp('segments') / 'segments.npy'
    dataset = ImageFolder(data_root=str(data), data_prefix='train')
    backend = Felzenszwalb(scale=100, min_share=0.04)
    maps = []
    for i in range(len(dataset)):
        image = load_image(dataset.get_data_info(i)['img_path'])
        maps.append(id_map(backend(image)))
    save_maps(path, np.stack(maps), dataset, 'felzenszwalb')
    return path


@pytest.fixture(scope='module')
def phase_one(tmp_path_factory):
    """Of each second phase the first: models guided by segments."""
    folder, checkpoints = tmp_path_factory.mktemp('phase_one'), {}
    for method in ('mae', 'dino'):
        cfg = Config.fromfile(
            ROOT / f'configs/small/segment_bias_{method}_small.py')
        torch.manual_seed(0)
        with DefaultScope.overwrite_default_scope('mmpretrain'):
            model = MODELS.build(cfg.model)
        model.init_weights()
        for name, u in model.named_parameters():
            if 'segment_bias' in name:
                torch.nn.init.normal_(u)
        path = folder / f'{method}.pth'
        torch.save(model.state_dict(), path)
        checkpoints[f'segment_distill_{method}_small'] = str(path)
    return checkpoints


def train(case, work_dir, epochs, resume=False):
    cfg = (read_config(ROOT / 'configs' / case)
           if case.endswith('.py') else small(case))
    cfg.custom_hooks = [
        hook for hook in cfg.custom_hooks if hook.type != 'sbam_mm.KNNHook'
    ]
    cfg.merge_from_dict({
        'train_dataloader.batch_size': 4,
        'train_dataloader.num_workers': 0,
        'train_cfg.max_epochs': epochs,
        'work_dir': str(work_dir),
        'resume': resume,
        'experiment_name': f'{work_dir.name}-{resume}',
        'log_level': 'WARNING',
    })
    for hook in cfg.custom_hooks:
        if 'keep' in hook:  # not in the project's own folder
            hook.keep = str(work_dir / 'kept')
    replace_amp(cfg)  # as the tools do where there is no GPU
    runner = Runner.from_cfg(cfg)
    losses = Losses()
    runner.register_hook(losses)
    runner.train()
    return runner, losses.steps


@pytest.mark.parametrize('case', [
    pytest.param(case, marks=pytest.mark.slow if case in LARGE else ())
    for case in CASES])
def test_trains_and_resumes(case, data, teacher, large_teacher, part_maps,
                            segments, phase_one, tmp_path, monkeypatch):
    monkeypatch.setenv('DATA_ROOT', str(data))
    teacher = large_teacher if 'teacher' in case else teacher
    if 'dinov2' in case:
        teacher = tmp_path / 'teacher'
        hf_folder('DINOv2', teacher)
    monkeypatch.setenv('TEACHER', str(teacher))
    monkeypatch.setenv('PART_MAPS', str(part_maps))
    monkeypatch.setenv('SEGMENTS', str(segments))
    monkeypatch.setenv('PHASE_ONE', phase_one.get(Path(case).stem, ''))
    through, steps = train(case, tmp_path, epochs=2)
    assert len(steps) == 8
    assert all(math.isfinite(v) for step in steps for v in step.values())
    weights = {k: v.clone() for k, v in through.model.state_dict().items()}

    # As if the second epoch had been cut.
    (tmp_path / 'epoch_2.pth').unlink()
    (tmp_path / 'last_checkpoint').write_text(str(tmp_path / 'epoch_1.pth'))
    resumed, rest = train(case, tmp_path, epochs=2, resume=True)
    assert rest == steps[4:]
    for name, value in resumed.model.state_dict().items():
        assert torch.equal(value, weights[name]), name
