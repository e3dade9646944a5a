# Copyright (c) OpenMMLab. All rights reserved.
"""Teachers as a command line names them."""
import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sbam_mm.errors import UserError
from sbam_mm.files import read_json


def teacher_config(named: str, backbone: Mapping[str, Any]) -> dict[str, Any]:
    """The config of a teacher.

    Args:
        named (str): "timm:NAME" or "hf:NAME", with "=FILE" where the weights
            are not the library's own; a folder that timm or transformers
            wrote; or the checkpoint of an encoder like the model's.
        backbone (Mapping): The model's.

    Example:
        >>> teacher_config('timm:vit_small_patch16_dinov3=w.safetensors', {})
        {'type': 'sbam_mm.TimmTeacher', 'model': 'vit_small_patch16_dinov3', \
'checkpoint': 'w.safetensors'}
    """
    library, colon, name = named.partition(':')
    if not colon and Path(named).is_dir():
        config = Path(named) / 'config.json'
        if not config.is_file():
            raise UserError(
                f'the folder {named} has no config.json that says what '
                'encoder it holds; name timm:NAME=FILE, or a folder of timm '
                'or transformers.')
        library = 'timm' if 'architecture' in read_json(config) else 'hf'
        name = named
    if library not in ('timm', 'hf') or not name:
        return dict(
            type='sbam_mm.FrozenTeacher',
            backbone=copy.deepcopy(backbone),
            checkpoint=named)
    kind = 'sbam_mm.TimmTeacher' if library == 'timm' else 'sbam_mm.HFTeacher'
    model, equals, file = name.partition('=')
    weights = dict(checkpoint=file) if equals else {}
    return dict(type=kind, model=model, **weights)
