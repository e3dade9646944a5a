# Copyright (c) OpenMMLab. All rights reserved.
"""The smallest trainings of a whole tool: eight images, two epochs."""
import numpy as np
from mmengine.config import Config
from PIL import Image
from started_tools import ROOT, call_tool


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
        base (str): Of configs/small.
        **options: Values by dotted name, dots as two underscores.
    """
    cfg = Config.fromfile(ROOT / f'configs/small/{base}.py')
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
