# Copyright (c) OpenMMLab. All rights reserved.
"""Quantities by which papers describe a training, taken from a config."""
import ast
import re

CROPS = ('LoadRandomResizedCrop', 'RandomResizedCrop', 'LoadTwoCrops')


def of_config(cfg, path):
    """Every quantity that the config has.

    Args:
        cfg (Config): As read from ``path``.
        path (Path): Its header's command says on how many GPUs it runs.

    Returns:
        dict: By the names of tests/paper_numbers/*.yml.
    """
    found = {}
    for take in (optimizer, schedule, data, head):
        found.update(take(cfg, path))
    return {name: value for name, value in found.items() if value is not None}


def gpus(path):
    """As many as the command in the header starts processes.

    Example::

        tools/dist_train.sh configs/sbam_mae_vitl_800e.py 8
    """
    text = ast.get_docstring(ast.parse(path.read_text()))
    command = text.partition('Command:')[2].replace('\\\n', ' ')
    match = re.search(r'dist_train\.sh\s+\S+\.py\s+(\d+)', command)
    return int(match[1]) if match else 1


def optimizer(cfg, path):
    """Of one step."""
    wrapper = cfg.optim_wrapper
    made = wrapper.optimizer
    batch = (cfg.train_dataloader.batch_size * gpus(path) *
             wrapper.get('accumulative_counts', 1))
    decay = wrapper.get('paramwise_cfg') or {}
    return dict(
        optimizer=made.type,
        lr=made.lr,
        batch=batch,
        base_lr=made.lr * 256 / batch,
        weight_decay=made.get('weight_decay'),
        betas=list(made.betas) if 'betas' in made else None,
        layer_decay=decay.get('layer_decay_rate'),
        clip_grad=(wrapper.get('clip_grad') or {}).get('max_norm'))


def schedule(cfg, path):
    """Over the training."""
    loop = cfg.train_cfg
    found = dict(
        epochs=loop.get('max_epochs'), iterations=loop.get('max_iters'))
    for part in cfg.get('param_scheduler') or []:
        unit = 'epochs' if part.get('by_epoch', True) else 'iterations'
        name = part.type
        if name == 'LinearLR' and part.get('begin', 0) == 0:
            found[f'warmup_{unit}'] = part.end
        elif name == 'MultiStepLR':
            found.update(schedule='steps', steps=list(part.milestones))
        elif name == 'PolyLR':
            found['schedule'] = 'poly'
        elif name == 'CosineAnnealingLR':
            found['schedule'] = 'cosine'
            lr = cfg.optim_wrapper.optimizer.lr
            found['min_lr'] = part.get(
                'eta_min', part.get('eta_min_ratio', 0.) * lr)
    return found


def steps_of(pipeline):
    """A pipeline and those within its transforms, flat."""
    for step in pipeline:
        yield step
        for inner in ('transforms', 'pipeline'):
            parts = step.get(inner) or []
            for part in [parts] if isinstance(parts, dict) else parts:
                # Names stand for what the data set has elsewhere.
                if not isinstance(part, str):
                    yield from steps_of(
                        part if isinstance(part, list) else [part])


def data(cfg, path):
    """What happens to an image."""
    dataset = cfg.train_dataloader.dataset
    found = {}
    pipeline = dataset.get('pipeline') or []
    for step in steps_of(pipeline):
        name = step.type.rpartition('.')[2]
        if name in CROPS and 'crop' not in found:
            scale = step.get('scale', step.get('size'))
            found['crop'] = scale if isinstance(scale, int) else list(scale)
            share = step.get('crop_ratio_range', (0.08, 1.))
            found['crop_share'] = list(share)
        elif name == 'RandomFlip':
            found['flip'] = step.prob
        elif name == 'RandAugment':
            found['randaugment'] = [step.magnitude_level, step.magnitude_std]
        elif name == 'RandomErasing':
            found['erasing'] = step.erase_prob
    names = [step.type.rpartition('.')[2] for step in steps_of(pipeline)]
    found['color_jitter'] = 'ColorJitter' in names
    return found


def head(cfg, path):
    """Of a classifier and its encoder."""
    model = cfg.get('model') or {}
    augments = {
        part.type: part.alpha
        for part in (model.get('train_cfg') or {}).get('augments') or []
    }
    backbone, loss = model.get('backbone') or {}, {}
    if isinstance(model.get('head'), dict):
        loss = model.head.get('loss') or {}
    if not isinstance(loss, dict):
        loss = {}
    return dict(
        drop_path=backbone.get('drop_path_rate'),
        mixup=augments.get('Mixup'),
        cutmix=augments.get('CutMix'),
        label_smoothing=loss.get('label_smooth_val'))
