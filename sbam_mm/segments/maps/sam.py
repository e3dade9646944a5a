# Copyright (c) OpenMMLab. All rights reserved.
"""Segments by the Segment Anything Model, through Hugging Face."""
import math
from typing import Any

import numpy as np
import torch
from PIL import Image

from sbam_mm.errors import UserError
from sbam_mm.extra_libraries import extra_library

from .id_map import Masks
from .options import check_options


class SAM:
    """Every mask SAM or SAM 2 finds from a grid of points.

    This is the automatic mask generation of transformers, with its filters
    of predicted quality, stability and duplicates.

    Source: Kirillov et al., *Segment Anything*, ICCV 2023; Taguchi et al.,
    *SAM Helps SSL*, 2024, section 4 (ViT-H, 32 x 32 points).

    Args:
        checkpoint (str): A folder with a model and its image processor, or a
            name on the Hugging Face hub, which is downloaded; of SAM 2 for
            instance "facebook/sam2.1-hiera-large".
        points (int): Per side of the grid.
        points_per_batch (int): At once; more take more memory.
        quality (float): Least predicted overlap with the true mask, in [0, 1].
        stability (float): Least overlap of the masks at slightly different
            thresholds, in [0, 1].
        device (str, optional): Such as "cuda:1". Defaults to None: a GPU
            where there is one.
    """

    def __init__(self,
                 checkpoint: str = 'facebook/sam-vit-huge',
                 points: int = 32,
                 points_per_batch: int = 64,
                 quality: float = 0.88,
                 stability: float = 0.95,
                 device: str | None = None):
        check_options(
            dict(points=points, points_per_batch=points_per_batch),
            least=dict(points=1, points_per_batch=1),
            whole=('points', 'points_per_batch'))
        check_options(
            dict(quality=quality, stability=stability),
            least=dict(quality=-math.inf, stability=-math.inf))
        transformers = extra_library('transformers', 'sam', 'the back-end sam')
        if device is None:
            device = 'cuda' if torch.cuda.is_available() else 'cpu'
        try:
            torch.empty(0, device=device)
        except (AssertionError, RuntimeError, TypeError) as error:
            raise UserError(
                f'device={device!r} cannot be used here ({_reason(error)}); '
                'give cpu, or cuda:0 with the number of a GPU.') from error
        wanted = ('name a folder with config.json, preprocessor_config.json '
                  'and model.safetensors, or a model of the Hugging Face hub.')
        if not isinstance(checkpoint, str):
            raise UserError(f'checkpoint={checkpoint!r} is no name; {wanted}')
        try:
            self._generate: Any = transformers.pipeline(
                'mask-generation', model=checkpoint, device=device)
        except Exception as error:  # each part of a file has errors of its own
            raise UserError(
                f'{checkpoint!r} is no SAM checkpoint that can be loaded '
                f'({_reason(error)}); {wanted}') from error
        if not hasattr(self._generate.model, 'mask_decoder'):
            raise UserError(
                f'{checkpoint!r} holds a '
                f'{type(self._generate.model).__name__}, which is no SAM; '
                f'{wanted}')
        self._asked = dict(
            points_per_crop=points,
            points_per_batch=points_per_batch,
            pred_iou_thresh=quality,
            stability_score_thresh=stability)
        # Neither batch nor device changes the masks.
        self.settings = dict(
            checkpoint=checkpoint,
            points=points,
            quality=quality,
            stability=stability)

    def __call__(self, image: np.ndarray) -> Masks:
        """Masks (n, H, W), n may be 0, of an image, RGB uint8 (H, W, 3)."""
        found = self._generate(Image.fromarray(image), **self._asked)
        masks = np.zeros((len(found['masks']), *image.shape[:2]), bool)
        for number, mask in enumerate(found['masks']):
            masks[number] = np.asarray(mask, bool)
        return Masks(masks, np.asarray(found['scores'], np.float64))


def _reason(error: BaseException) -> str:
    """The beginning of what another library says."""
    first = (str(error).splitlines() or [''])[0].split('. ')[0]
    return f'{type(error).__name__}: {first[:120]}'
