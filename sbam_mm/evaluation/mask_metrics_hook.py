# Copyright (c) OpenMMLab. All rights reserved.
"""Whether the masks find the objects, while the model is being trained."""
from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from mmengine.dist import is_main_process
from mmengine.runner import Runner
from torch import Tensor, nn

from sbam_mm.engine.fsdp import unwrapped, whole_parameters
from sbam_mm.engine.hooks.attention_map_hook import AttentionMapHook
from sbam_mm.errors import UserError
from sbam_mm.masking import check_needs
from sbam_mm.models.evaluating import evaluating, unchanged_random_state
from sbam_mm.models.providers import REMEDIES, STORED_MAPS
from sbam_mm.registry import DATASETS, HOOKS, MODELS

from .epoch_hook import EpochHook
from .mask_metrics import mask_metrics, over_images
from .object_masks import read_object_masks, token_coverage


@HOOKS.register_module()
class MaskMetricsHook(EpochHook):
    """Log how much of objects and background the masker hides.

    All numbers of :func:`sbam_mm.evaluation.mask_metrics`, means over the
    images, with the ``epoch``: ``object_hidden``, ``background_hidden``,
    ``boundary_hidden``, ``auroc`` and the others, and the same of every other
    masker as "name/object_hidden". Where a masker goes by stored maps (AM,
    AMT), which are of training images alone, ``AttentionMapHook`` makes those
    of these images at this moment. Training goes on to the bit as without the
    hook.

    Args:
        images (dict): Config of a data set with annotated images, with a
            pipeline that does not augment: whole images of the model's size,
            or the largest central crop.
        annotations (str): See :func:`read_object_masks`.
        maskers (dict, optional): Configs of other maskers, by name, that look
            at the same model.
        interval (int): Epochs between measurements.
        at_start (bool): Also measure the untrained model.
        threshold (float, optional), delta (float): See ``mask_metrics``.

    Example::

        custom_hooks = [
            dict(
                type='sbam_mm.MaskMetricsHook',
                images=dict(
                    type='sbam_mm.ImageFolder', data_root='data/stl10/images',
                    data_prefix='val', pipeline=[dict(type='PackInputs')]),
                annotations='data/stl10/object_masks.npz')
        ]
    """

    def __init__(self,
                 images: dict,
                 annotations: str,
                 maskers: Mapping[str, dict] | None = None,
                 interval: int = 1,
                 at_start: bool = False,
                 threshold: float | None = None,
                 delta: float = 0.1,
                 seed: int = 0,
                 batch_size: int = 250) -> None:
        super().__init__(interval, at_start)
        self.images = images
        self.annotations = annotations
        self.maskers = dict(maskers or {})
        self.threshold = threshold
        self.delta = delta
        self.seed = seed
        self.batch_size = batch_size

    def before_train(self, runner: Runner) -> None:
        model = unwrapped(runner.model)
        if not hasattr(model, 'masker'):
            raise UserError(f'{type(model).__name__} has no masker to '
                            'measure; leave MaskMetricsHook out.')
        others = {name: MODELS.build(config)
                  for name, config in self.maskers.items()}
        for masker in others.values():
            check_needs(masker, model.provides, type(model).__name__, REMEDIES)
        self._built = {'': model.masker, **others}
        self._map_hook = next((hook for hook in runner.hooks
                               if isinstance(hook, AttentionMapHook)), None)
        self._said: dict[int, Tensor] = {}
        stored = model.masker.needs & STORED_MAPS.keys()
        if stored - ({'attention_map'} if self._map_hook else set()):
            raise UserError(
                f'{type(model.masker).__name__} masks by maps that these '
                'images do not have; leave MaskMetricsHook out.')
        with unchanged_random_state():
            self._pictures, self._cover = self._read(model)
        self._start(runner)

    def _read(self, model: Any) -> tuple[Tensor, Tensor]:
        """Images (N, C, H, W) that have an object and a background, (N, L)."""
        dataset = DATASETS.build({'test_mode': True, **self.images})
        masks = read_object_masks(self.annotations)
        patch = model.backbone.patch_size
        pictures, covers = [], []
        for index in range(len(dataset)):
            picture = dataset[index]['inputs']
            size = picture.shape[-2:]
            path = dataset.get_data_info(index)['img_path']
            cover = token_coverage([masks(path, size)], size, patch)
            if 0 < cover.sum() < cover.numel():
                pictures.append(picture)
                covers.append(cover)
        if not covers:
            raise UserError(f'none of the {len(dataset)} images has an object '
                            f'and a background in {self.annotations}; check '
                            'that it belongs to them.')
        return torch.stack(pictures), torch.cat(covers)

    def _evaluate(self, runner: Runner, epoch: int) -> None:
        with unchanged_random_state(), whole_parameters(runner.model):
            torch.manual_seed(self.seed)
            found = self._measure(unwrapped(runner.model))
        if not is_main_process():
            return
        runner.visualizer.add_scalars(
            dict(found, epoch=epoch), step=runner.iter)
        runner.logger.info(
            f'Epoch {epoch}  object hidden: {found["object_hidden"]:.3f}  '
            f'background hidden: {found["background_hidden"]:.3f}  '
            f'({len(self._cover)} images)')

    @torch.no_grad()
    def _measure(self, model: Any) -> dict[str, float]:
        parts: dict[str, list[Tensor]] = {}
        with evaluating(model):
            for start in range(0, len(self._cover), self.batch_size):
                chosen = slice(start, start + self.batch_size)
                inputs = model.data_preprocessor(dict(
                    inputs=self._pictures[chosen], data_samples=None))[
                        'inputs']
                context = model.context(model.embed(inputs), inputs)
                if self._map_hook:
                    context.providers['attention_map'] = partial(
                        self._stored, self._map_hook, model, inputs, start)
                for label, masker in self._built.items():
                    values = mask_metrics(
                        masker(context), self._cover[chosen], self.threshold,
                        self.delta)
                    for name, each in values.items():
                        key = f'{label}/{name}' if label else name
                        parts.setdefault(key, []).append(each)
        means = {key: over_images(torch.cat(each)).mean
                 for key, each in parts.items()}
        return {key: mean for key, mean in means.items() if mean == mean}

    def _stored(self, hook: AttentionMapHook, model: nn.Module,
                images: Tensor, start: int) -> Tensor:
        """Maps of a batch as the pipeline brings them, (B, L)."""
        if start in self._said:
            return self._said[start]
        maps = hook.maps(model, images).flatten(1)
        if hook.teacher is not None:  # which says the same in every epoch
            self._said[start] = maps
        return maps
