# Copyright (c) OpenMMLab. All rights reserved.
"""A small data set in COCO's format: photographs, or shapes on noise."""
import json
import os
import tarfile
from pathlib import Path

import numpy as np
from PIL import Image
from pycocotools import mask as rle

SHAPES = ('disc', 'square', 'triangle')
COLOURS = ((230, 60, 40), (40, 200, 70), (50, 80, 240))


def draw(kind, size):
    """A shape as a boolean (size, size)."""
    y, x = np.mgrid[:size, :size] / (size - 1) * 2 - 1
    return (x**2 + y**2 <= 1, np.ones_like(x, bool), abs(x) <= (y + 1) / 2
            )[kind]


def compose(folder, images=8, side=96, seed=0):
    """Write scenes with instance JSON and semantic PNG files.

    Args:
        folder (Path): Gets images/{train,val}, semantic/{train,val} and
            instances_{train,val}.json.
        images (int): For each split; both are the same scenes.
        side (int): Pixels.
        seed (int): Of all that is random.

    Returns:
        dict: root (Path), things and stuff (class names).
    """
    random = np.random.default_rng(seed)
    scenes = [scene(random, side) for _ in range(images)]
    for split in ('train', 'val'):
        for name in ('images', 'semantic'):
            (folder / name / split).mkdir(parents=True)
        coco = dict(images=[], annotations=[], categories=[
            dict(id=i + 1, name=name) for i, name in enumerate(SHAPES)])
        for number, (pixels, labels, objects) in enumerate(scenes):
            stem = f'{number:06d}'
            Image.fromarray(pixels).save(
                folder / 'images' / split / f'{stem}.jpg', quality=95)
            Image.fromarray(labels).save(
                folder / 'semantic' / split / f'{stem}.png')
            coco['images'].append(dict(
                id=number, file_name=f'{stem}.jpg', height=side, width=side))
            for kind, mask in objects:
                code = rle.encode(np.asfortranarray(mask.astype(np.uint8)))
                coco['annotations'].append(dict(
                    id=len(coco['annotations']) + 1,
                    image_id=number,
                    category_id=kind + 1,
                    iscrowd=0,
                    area=float(mask.sum()),
                    bbox=rle.toBbox(code).tolist(),
                    segmentation=dict(
                        size=[side, side], counts=code['counts'].decode())))
        (folder / f'instances_{split}.json').write_text(json.dumps(coco))
    return dict(root=folder, things=SHAPES, stuff=('ground', *SHAPES))


def scene(random, side):
    """Shapes that do not touch, one in each of some quarters, on noise."""
    pixels = random.integers(90, 160, (side, side, 3)).astype(np.uint8)
    labels = np.zeros((side, side), np.uint8)
    half, objects = side // 2, []
    for quarter in random.permutation(4)[:random.integers(1, 4)]:
        kind = int(random.integers(len(SHAPES)))
        size = int(random.integers(half // 2, half - 4))
        top, left = random.integers(2, half - size, 2) + half * np.array(
            divmod(quarter, 2))
        mask = np.zeros((side, side), bool)
        mask[top:top + size, left:left + size] = draw(kind, size)
        pixels[mask] = COLOURS[kind]
        labels[mask] = kind + 1
        objects.append((kind, mask))
    return pixels, labels, objects


def dense_data(folder):
    """Photographs where COCO120 names them, else composed scenes.

    Args:
        folder (Path): To write to.

    Returns:
        dict: See :func:`compose`.
    """
    archive = os.environ.get('COCO120', '')
    if not Path(archive).is_file():
        return compose(folder / 'scenes')
    with tarfile.open(archive) as file:
        file.extractall(folder, filter='data')
    root = folder / 'coco120'
    coco = json.loads((root / 'instances_train.json').read_text())
    return dict(
        root=root,
        things=tuple(c['name'] for c in coco['categories']),
        stuff=tuple(
            json.loads((root / 'semantic_classes.json').read_text())))
