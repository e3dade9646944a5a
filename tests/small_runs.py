# Copyright (c) OpenMMLab. All rights reserved.
"""The smallest trainings of a whole tool: eight images, two epochs."""
import os

import numpy as np
from mmengine.config import Config
from PIL import Image
from started_tools import ROOT, call_tool

from sbam_mm.command_line.arguments import key_values
from sbam_mm.engine.replace_masker import replace_masker
from sbam_mm.masking.named_maskers import masker_names

# Beside the files of configs/small and configs/ablations, by the words of a
# command: every other masker in MAE, and those that papers had elsewhere.
IN_FILES = ('random', 'sbam', 'automae', 'random-ratio')
# The same as another, or but for a filter.
ALIKE = ('attmask', 'colormae', 'colormae-blue', 'colormae-purple',
         'colormae-red')
MASKED = [
    *(f'mae_small {name}' for name in masker_names()
      if name not in (*IN_FILES, *ALIKE, 'gpa')),
    'mae_small gpa block=3 head=2',
    'bootmae_small sbam', 'cae_small sbam', 'cmae_small sbam',
    'convmae_small sbam', 'simmim_small sbam', 'ibot_small sbam',
    'ijepa_small sbam', 'data2vec2_small sbam',
    'ibot_small attmask-high', 'segment_bias_mae_small sbam']


def small(words):
    """A config of configs/small, with a masker of its own or another.

    Args:
        words (str): E.g. "sbam_small", "mae_small sbam noise=0.4". GPA's
            teacher is that of the variable TEACHER.
    """
    base, *masker = words.split()
    cfg = Config.fromfile(ROOT / f'configs/small/{base}.py')
    if masker:
        name, *options = masker
        replace_masker(
            cfg, name, key_values(options, '--masker'),
            os.environ.get('TEACHER', 'teacher.pth')
            if name == 'gpa' else None)
    return cfg


def write_images(folder, parts=(('train', 8), ('test', 4)),
                 classes=('cat', 'dog')):
    """Noise in class folders."""
    generator = np.random.default_rng(0)
    for part, count in parts:
        for name in classes:
            place = folder / part / name
            place.mkdir(parents=True)
            for i in range(count):
                pixels = generator.integers(
                    0, 256, (40, 36, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(place / f'{i}.png')
    return folder


def small_config(path, images, base='sbam_small', **options):
    """Write a config that trains for seconds.

    Args:
        path (Path): Of the config.
        images (Path): From :func:`write_images`.
        base (str): See :func:`small`.
        **options: Values by dotted name, dots as two underscores.
    """
    cfg = small(base)
    hooks = [hook for hook in cfg.custom_hooks if 'KNN' not in hook.type]
    cfg.merge_from_dict({
        'train_dataloader.dataset.data_root': str(images),
        'train_dataloader.dataset.cache': False,
        'train_dataloader.batch_size': 4,
        'train_dataloader.num_workers': 0,
        'model.backbone.arch.num_layers': 1,
        'default_hooks.logger.interval': 1,
        **{key.replace('__', '.'): value for key, value in options.items()},
    })
    cfg.custom_hooks = hooks
    cfg.dump(path)
    return path


def train(config, work_dir, *args):
    """tools/train.py for as many epochs as the config says."""
    return call_tool('train', config, '--work-dir', work_dir, *args)
