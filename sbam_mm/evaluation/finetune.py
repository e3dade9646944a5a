# Copyright (c) OpenMMLab. All rights reserved.
"""Fine-tuning through mmpretrain's classifier and mmengine's runner."""
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.dist import get_world_size
from mmengine.logging import MMLogger, print_log
from mmengine.runner import Runner

from sbam_mm.config_files import read_config, read_model_config
from sbam_mm.datasets.transforms.any_channels import is_colour_transform
from sbam_mm.engine.launch import prepare_launch, protect_run
from sbam_mm.engine.run_log import read_scalars
from sbam_mm.errors import UserError
from sbam_mm.models.checkpoint import read_checkpoint
from sbam_mm.models.stored_config import stored_options

from .encoders import EncoderRecipe
from .image_sets import LARGE, ImageSet, eval_pipeline
from .processes import broadcast_from_main

# The recipe that a method was published with, by type and width of the
# encoder. Maskers are compared under one recipe, that of the method.
CONFIGS = {
    ('MAE', 768): 'finetune/vitb_100e.py',
    ('MAE', 1024): 'finetune/vitl_50e.py',
    ('BootMAE', 768): 'finetune/bootmae_vitb_100e.py',
    ('CMAE', 768): 'finetune/cmae_vitb_100e.py',
    ('ConvMAE', 384): 'finetune/convmae_small_100e.py',
    ('GPAFeature', 768): 'finetune/gpa_vitb_100e.py',
    ('SimMIM', 768): 'finetune/simmim_vitb_100e.py',
    ('iBOT', 384): 'finetune/ibot_vits_200e.py',
    ('iBOT', 768): 'finetune/ibot_vitb_100e.py',
}
SMALL = 'finetune/small.py'


def finetune_recipe(embed_dims: int, size: int,
               method: str | None = None) -> str:
    """The fine-tuning config that an encoder was published with.

    Images below 96 pixels have one of their own, whatever the method.

    Example:
        >>> finetune_recipe(768, 224, 'iBOT'), finetune_recipe(96, 32)
        ('finetune/ibot_vitb_100e.py', 'finetune/small.py')
    """
    if size < LARGE:
        return SMALL
    config = CONFIGS.get((method or '', embed_dims))
    if config is not None:
        return config
    widths = {width for _, width in CONFIGS}
    known = sorted({f'configs/{path}' for (_, width), path in CONFIGS.items()
                    if width == embed_dims})
    named = f' ({", ".join(known)})' if known else ''
    if embed_dims not in widths:
        reason = (f'no fine-tuning recipe is known for an encoder '
                  f'{embed_dims} wide')
    elif method is None:
        reason = ('the checkpoint does not say how it was pre-trained, and '
                  'so not which fine-tuning recipe is its own')
    else:
        reason = (f'no fine-tuning recipe of {method} is known for an encoder '
                  f'{embed_dims} wide')
    raise UserError(
        f'{reason}; choose one with --set finetune.config=FILE{named}.')


def pretraining_method(checkpoint: str | Path,
               config: str | Path | None = None) -> str | None:
    """Type of the model that a checkpoint was pre-trained with, as "iBOT".

    From the checkpoint's own config, read as data, or else from ``config``.
    """
    stored = stored_options(read_checkpoint(str(checkpoint)), 'model')
    found = (stored or {}).get('type')
    if not isinstance(found, str) and config is not None:
        found = (read_model_config(config).get('model') or {}).get('type')
    return found.rpartition('.')[2] if isinstance(found, str) else None


def finetune_config(recipe: EncoderRecipe,
                    images: ImageSet,
                    checkpoint: str,
                    work_dir: str | Path,
                    config: str | Path,
                    embed_dims: int,
                    branch: str = 'teacher',
                    epochs: int | None = None,
                    batch_size: int | None = None,
                    num_workers: int | None = None,
                    seed: int = 0,
                    options: Mapping[str, Any] | None = None,
                    launcher: str = 'none') -> Config:
    """A fine-tuning config for one encoder and one image set.

    The file gives schedule, augmentation and regularisation; the encoder's
    measures, the images and the number of classes are put in. With another
    number of epochs the schedule is stretched or compressed, warm-up
    included; with another batch size the learning rate is scaled with it,
    from the ``auto_scale_lr.base_batch_size`` it was tuned for.

    Args:
        work_dir (str or Path): A run that was stopped goes on from there.
        batch_size (int, optional): Of one process.
        options (Mapping, optional): Values of the config to replace, by dotted
            names.
    """
    cfg = read_config(config, 'fine-tuning config')
    hooks = [hook for hook in cfg.get('custom_hooks', [])
             if 'LoadEncoderHook' in hook['type']]
    if not hooks or cfg.get('model', {}).get('type') != 'ImageClassifier':
        raise UserError(f'{config} fine-tunes no encoder; give a config with '
                        'an ImageClassifier and a LoadEncoderHook, as in '
                        'configs/finetune/.')
    hooks[0].update(checkpoint=str(checkpoint), branch=branch)
    classes = len(images.classes)
    told = cfg.model.backbone
    # Replaced, not merged: the file's arch may have other keys.
    cfg.model.backbone = dict(
        recipe.backbone, drop_path_rate=told.get('drop_path_rate', 0.))
    if recipe.backbone.get('out_type') == 'raw':
        cfg.model.backbone.update(
            out_type=told.get('out_type', 'avg_featmap'),
            final_norm=told.get('final_norm', False))
    else:
        cfg.model.neck = dict(type='GlobalAveragePooling')
    cfg.model.head.update(num_classes=classes, in_channels=embed_dims)
    cfg.data_preprocessor.update(num_classes=classes, **recipe.normalise)
    _put_images(cfg, recipe, images, Path(work_dir))
    base = cfg.get('auto_scale_lr', {}).get('base_batch_size')
    if batch_size:
        cfg.train_dataloader.batch_size = batch_size
    if base:
        cfg.auto_scale_lr = dict(enable=True, base_batch_size=base)
    if num_workers is not None:
        for loader in (cfg.train_dataloader, cfg.val_dataloader):
            loader.num_workers = num_workers
    # At least four steps an epoch, also with few labels.
    world = get_world_size()
    batch = max(1, min(cfg.train_dataloader.batch_size,
                       len(images.train) // (4 * world)))
    cfg.train_dataloader.batch_size = batch
    if epochs:
        _stretch(cfg, epochs, max(1, len(images.train) // (batch * world)))
    cfg.val_evaluator = dict(type='Accuracy', topk=(1, min(5, classes)))
    for key in ('test_dataloader', 'test_evaluator', 'test_cfg'):
        cfg.pop(key, None)
    cfg.randomness.seed = seed
    cfg.work_dir = str(work_dir)
    if options:
        cfg.merge_from_dict(dict(options))
    prepare_launch(cfg, launcher)
    protect_run(cfg, search=True)
    return cfg


def _put_images(cfg: Config, recipe: EncoderRecipe, images: ImageSet,
                folder: Path) -> None:
    """Both data sets, at the encoder's size."""
    size = recipe.size
    train = list(cfg.train_dataloader.dataset.pipeline)
    if recipe.decoding.get('channels', 3) != 3:
        left_out = [step['type'] for step in train
                    if is_colour_transform(step)]
        train = [step for step in train if not is_colour_transform(step)]
        if left_out:
            print_log(
                f'Fine-tuning leaves out {", ".join(left_out)}, which '
                'are for colour images.', logger='current',
                level=logging.WARNING)
    for step in train:
        if step['type'].endswith('RandomResizedCrop'):
            step['scale'] = size
    cache = size < LARGE and bool(cfg.train_dataloader.dataset.get('cache'))
    cfg.train_dataloader.dataset = dict(
        images.dataset('train', train, folder / 'lists', **recipe.decoding),
        cache=cache)
    cfg.val_dataloader.dataset = dict(
        images.dataset('test', eval_pipeline(size), folder / 'lists',
                       **recipe.decoding),
        test_mode=True)


def _stretch(cfg: Config, epochs: int, steps: int) -> None:
    """The same schedule over another number of epochs, of so many steps."""
    warm_up, cosine = cfg.param_scheduler
    # At least one step, which mmengine would round down to none.
    start = max(warm_up.end * epochs / cfg.train_cfg.max_epochs,
                1.001 / steps)
    warm_up.end = start
    cosine.update(begin=start, end=epochs, T_max=epochs - start)
    cfg.train_cfg.max_epochs = epochs


def finetune(cfg: Config) -> list[dict[str, float]]:
    """Run, or go on with, a fine-tuning; in all processes, if several.

    Of each epoch: epoch, mean training loss, top-1 and top-5 on the test
    images in per cent.
    """
    runner = Runner.from_cfg(cfg)
    MMLogger.get_current_instance().setLevel(logging.INFO)
    runner.train()
    return broadcast_from_main(lambda: _curve(cfg.work_dir))


def _curve(work_dir: str) -> list[dict[str, float]]:
    curve: list[dict[str, float]] = []
    losses: list[float] = []
    for record in read_scalars(work_dir):
        if 'loss' in record:
            losses.append(record['loss'])
        elif 'accuracy/top1' in record:
            top5 = [value for key, value in record.items()
                    if key.startswith('accuracy/top') and key[-1] != '1']
            curve.append(
                dict(
                    epoch=int(record['step']),
                    loss=sum(losses) / max(len(losses), 1),
                    top1=record['accuracy/top1'],
                    top5=top5[0] if top5 else record['accuracy/top1']))
            losses = []
    return curve
