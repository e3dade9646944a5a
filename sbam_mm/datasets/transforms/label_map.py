# Copyright (c) OpenMMLab. All rights reserved.
"""Masks of semantic segmentation, checked when they are read."""
import io

import mmengine.fileio as fileio
import numpy as np
from mmcv.transforms import BaseTransform
from PIL import Image, UnidentifiedImageError

from sbam_mm.errors import UserError
from sbam_mm.registry import TRANSFORMS

IGNORED = 255


def read_label_map(path: str, backend_args: dict | None = None
                   ) -> np.ndarray:
    """Read one class index for every pixel, (H, W) uint8.

    mmseg's reader turns any number into 8 bits and any palette into colours:
    16 bits wrap around, and a colour picture fails much later, in the loss.

    Args:
        path (str): A grey image of 8 or 16 bits, or one with a palette, whose
            indices are taken and whose colours mean nothing.

    Raises:
        UserError: If the file is missing, no image, has colours, or has
            indices above 255.
    """
    try:
        content = fileio.get(path, backend_args=backend_args)
    except FileNotFoundError as error:
        raise UserError(
            f'the mask {path} does not exist; every image needs one of the '
            'same name, see data_prefix.seg_map_path.') from error
    try:
        with Image.open(io.BytesIO(content)) as image:
            mode, labels = image.mode, np.asarray(image)
    except (UnidentifiedImageError, OSError, SyntaxError) as error:
        raise UserError(f'the mask {path} cannot be read as an image; copy '
                        'it again.') from error
    if labels.ndim != 2:
        raise UserError(
            f'the mask {path} is a colour picture (mode {mode}) and not one '
            'class index per pixel; save indices, as a grey or palette PNG.')
    if labels.max(initial=0) > IGNORED:
        raise UserError(
            f'the mask {path} has the class index {labels.max()}, but indices '
            f'end at {IGNORED - 1} ({IGNORED} = ignored); if these are '
            'instances or coded classes, convert them to class indices.')
    return labels.astype(np.uint8)


@TRANSFORMS.register_module()
class LoadLabelMap(BaseTransform):
    """mmseg's ``LoadAnnotations`` that says what is wrong with a mask.

    255 is ignored. Required keys: seg_map_path, seg_fields, and where mmseg's
    data set has them reduce_zero_label and label_map. Added: gt_seg_map,
    (H, W) uint8.

    Args:
        num_classes (int, optional): Classes of the model; larger indices are
            an error here instead of in a CUDA kernel. Defaults to None: not
            checked.

    Raises:
        UserError: See :func:`read_label_map`; also for a class index that
            the model does not have.

    Example::

        train_pipeline = [
            dict(type='LoadImageFromFile'),
            dict(type='sbam_mm.LoadLabelMap', num_classes=150)]
    """

    def __init__(self,
                 num_classes: int | None = None,
                 backend_args: dict | None = None):
        self.num_classes = num_classes
        self.backend_args = backend_args

    def transform(self, results: dict) -> dict:
        path = results['seg_map_path']
        labels = read_label_map(path, self.backend_args)
        if results.get('reduce_zero_label'):
            # 0 becomes 255; 255 stays.
            labels = np.where(labels == IGNORED, IGNORED, labels - 1)
            labels = labels.astype(np.uint8)
        if results.get('label_map'):
            table = np.arange(IGNORED + 1, dtype=np.uint8)
            for old, new in results['label_map'].items():
                table[old] = new
            labels = table[labels]
        if self.num_classes is not None:
            known = (labels < self.num_classes) | (labels == IGNORED)
            if not known.all():
                raise UserError(
                    f'the mask {path} has the class index '
                    f'{labels[~known].max()}, but the model has '
                    f'{self.num_classes} classes (0 to '
                    f'{self.num_classes - 1}); set num_classes of head and '
                    'data, or reduce_zero_label.')
        results['gt_seg_map'] = labels
        results.setdefault('seg_fields', []).append('gt_seg_map')
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(num_classes={self.num_classes})'
