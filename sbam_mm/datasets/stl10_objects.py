# Copyright (c) OpenMMLab. All rights reserved.
"""STL-10 with its objects: from two public sources to one folder."""
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import track

from sbam_mm.errors import UserError
from sbam_mm.files import read_json, replacing

from .torchvision_images import open_source

# Cells of an image's side, and training images of each class: the first by
# index, of 500; the others are for validation.
CELLS, TRAIN = 16, 400


def prepare_stl10(root: str | Path, masks: str | Path,
                  out: str | Path) -> Path:
    """Write ``images/{train,val}/<class>/<index>.png``, ``object_masks.npz``.

    Of the 5,000 labelled training images of STL-10, 500 of each class, those
    that have a mask. This split is not STL-10's, whose test images stay
    unseen.

    Args:
        root (str or Path): With torchvision's ``stl10_binary``.
        masks (str or Path): With ``stl10_train_<class>.json`` of
            github.com/semihyagli/STL10_Segmentation (MIT): by index of the
            image, the (x, y) of the cells that each object covers.

    Returns:
        Path: ``out``, which is the DATA_ROOT of configs/small/mae_stl10*.py.
    """
    source, out = open_source('STL10', str(root), 'train'), Path(out)
    numbers: dict[int, list[int]] = {}
    for index, label in enumerate(source.labels):
        numbers.setdefault(int(label), []).append(index)
    names, bits = [], []
    for label, indices in track(numbers.items(), 'STL-10'):
        name = source.classes[label]
        path = Path(masks) / f'stl10_train_{name}.json'
        if not path.is_file():
            raise UserError(f'{path} does not exist; give the folder of '
                            'STL10_Segmentation as --masks.')
        objects = read_json(path)
        for number, index in enumerate(indices):
            if str(index) not in objects:
                continue
            half = 'train' if number < TRAIN else 'val'
            bits.append(cells_of(objects[str(index)], path))
            names.append(f'{half}/{name}/{index:04d}')
            with replacing(out / f'images/{names[-1]}.png') as file:
                source[index][0].save(file, format='PNG')
    with replacing(out / 'object_masks.npz') as file:
        with open(file, 'wb') as stream:
            np.savez_compressed(
                stream, names=np.array(names),
                masks=np.packbits(np.stack(bits).reshape(len(bits), -1), 1),
                shape=np.array([CELLS, CELLS]))
    return out


def cells_of(objects: Any, path: Path) -> np.ndarray:
    """All cells that objects cover, boolean (rows, columns).

    Example:
        >>> cells = cells_of({'dog_0': [[2, 0]], 'dog_1': [[3, 0]]}, Path())
        >>> np.argwhere(cells).tolist()
        [[0, 2], [0, 3]]
    """
    cells = np.zeros((CELLS, CELLS), bool)
    try:
        for covered in objects.values():
            for x, y in covered:
                cells[y, x] = True
    except (AttributeError, IndexError, TypeError, ValueError) as error:
        raise UserError(f'{path} has no lists of cells (x, y) by object; copy '
                        'it again.') from error
    return cells
