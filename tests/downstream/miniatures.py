# Copyright (c) OpenMMLab. All rights reserved.
"""ADE20K, COCO and LVIS with two images a split, in their real layouts."""
import json

import numpy as np
from PIL import Image

WIDTH, HEIGHT = 96, 80
BOXES = ([8, 10, 40, 32], [52, 30, 36, 44])
# COCO's 80 classes are numbered from 1 to 90.
COCO_GAPS = {12, 26, 29, 30, 45, 66, 68, 69, 71, 83}


def photograph(path, seed):
    """Noise, as a JPEG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(seed)
    pixels = random.integers(0, 255, (HEIGHT, WIDTH, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(path)


def mini_ade20k(root):
    """images/ and annotations/; in masks 0 is "other", 1 to 150 classes."""
    for split, stem in (('training', 'train'), ('validation', 'val')):
        (root / 'annotations' / split).mkdir(parents=True)
        for number in (1, 2):
            name = f'{split}/ADE_{stem}_{number:08d}'
            photograph(root / f'images/{name}.jpg', number)
            labels = np.zeros((HEIGHT, WIDTH), np.uint8)
            labels[:40], labels[40:, :60] = number, 150
            Image.fromarray(labels).save(root / f'annotations/{name}.png')
    return root


def polygon(box):
    left, top, width, height = box
    right, bottom = left + width, top + height
    return [[left, top, right, top, right, bottom, left, bottom]]


def objects_of(image_id, categories):
    """Two objects, as polygons."""
    return [
        dict(
            id=image_id * 10 + number,
            image_id=image_id,
            category_id=category,
            bbox=box,
            area=float(box[2] * box[3]),
            segmentation=polygon(box))
        for number, (category, box) in enumerate(zip(categories, BOXES), 1)
    ]


def write(path, **content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def mini_coco(root, classes):
    """train2017/, val2017/ and annotations/; a crowd, an empty image."""
    numbers = [i for i in range(1, 91) if i not in COCO_GAPS]
    categories = [
        dict(id=number, name=name, supercategory='thing')
        for number, name in zip(numbers, classes, strict=True)
    ]
    for split, first in (('train', 9), ('val', 139)):
        images, objects = [], []
        for image in (first, first + 1, first + 2):
            name = f'{image:012d}.jpg'
            photograph(root / f'{split}2017' / name, image)
            images.append(
                dict(id=image, file_name=name, width=WIDTH, height=HEIGHT))
            if image < first + 2:
                objects += [
                    dict(found, iscrowd=0)
                    for found in objects_of(image, (1, 90))
                ]
        # The first half of the columns of the first image.
        half = WIDTH // 2 * HEIGHT
        objects.append(dict(
            id=900100000000 + first, image_id=first, category_id=1,
            iscrowd=1, bbox=[0, 0, WIDTH // 2, HEIGHT], area=float(half),
            segmentation=dict(
                size=[HEIGHT, WIDTH], counts=[0, half, half])))
        write(
            root / f'annotations/instances_{split}2017.json',
            images=images,
            annotations=objects,
            categories=categories)
    return root


def mini_lvis(root, classes):
    """COCO's folders, addresses for names; one of val lies in train2017."""
    categories = [
        dict(id=number, name=name, synset=f'{name}.n.01', frequency='rcf'[
            number % 3], image_count=2, instance_count=2)
        for number, name in enumerate(classes, 1)
    ]
    places = dict(
        train={9: 'train2017', 10: 'train2017'},
        val={139: 'val2017', 140: 'train2017'})
    for split, images in places.items():
        for image, folder in images.items():
            photograph(root / folder / f'{image:012d}.jpg', image)
        write(
            root / f'annotations/lvis_v1_{split}.json',
            images=[
                dict(id=image, width=WIDTH, height=HEIGHT,
                     coco_url='http://images.cocodataset.org/'
                     f'{folder}/{image:012d}.jpg',
                     neg_category_ids=[2], not_exhaustive_category_ids=[])
                for image, folder in images.items()
            ],
            annotations=[
                found for image in images
                for found in objects_of(image, (1, 1203))
            ],
            categories=categories)
    return root
