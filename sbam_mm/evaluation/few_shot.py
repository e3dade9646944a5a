# Copyright (c) OpenMMLab. All rights reserved.
"""Which images a model may learn from when it gets few labels.

The lists are functions of the paths and a seed alone: a hash orders the
images of each class, and the first ones are taken. So every machine and every
version of every library makes the same lists, the list of 1 % is part of that
of 10 %, and removing a class changes no other.
"""
import hashlib
from collections.abc import Sequence
from dataclasses import replace
from math import floor
from pathlib import Path

from sbam_mm.datasets.reading.tree import path_bytes, path_text
from sbam_mm.errors import UserError
from sbam_mm.files import write_atomically

from .image_sets import ImageSet


def few_shot_list(images: ImageSet, share: float, seed: int = 0) -> list[str]:
    """``<class>/<file>`` of a share of every class, at least one, sorted.

    Of n images of a class share * n are taken, rounded half up.

    Example:
        >>> images = ImageSet('toy', '/', ('cat', 'dog'), tuple(
        ...     (f'train/{name}/{i}.png', label) for i in range(40)
        ...     for label, name in enumerate(['cat', 'dog'])), ())
        >>> few_shot_list(images, 0.05)
        ['cat/15.png', 'cat/18.png', 'dog/10.png', 'dog/7.png']
    """
    if not 0 < share <= 1:
        raise UserError(f'share={share} is no share of the training images; '
                        'give a number in (0, 1], such as 0.01.')
    by_class: dict[int, list[str]] = {}
    for path, label in images.train:
        by_class.setdefault(label, []).append(
            path.removeprefix(f'{images.train_folder}/'))

    def rank(path: str) -> str:
        return hashlib.sha256(path_bytes(f'{seed}:{path}')).hexdigest()

    return sorted(
        path for paths in by_class.values()
        for path in sorted(paths, key=rank)
        [:max(1, floor(share * len(paths) + 0.5))])


def write_few_shot_list(images: ImageSet, share: float, seed: int,
                        folder: str | Path) -> Path:
    """Write ``<name>_<share>percent_seed<seed>.txt``, one path a line."""
    paths = few_shot_list(images, share, seed)
    file = Path(folder) / (
        f'{images.name}_{100 * share:g}percent_seed{seed}.txt')
    write_atomically(file,
                     path_bytes(''.join(f'{path}\n' for path in paths)))
    return file


def read_few_shot_list(path: str | Path) -> list[str]:
    """Paths from a text file, one a line; blanks around them are skipped."""
    if not Path(path).is_file():
        raise UserError(f'the few-shot list {path} does not exist; correct '
                        'fewshot.lists.')
    lines = path_text(Path(path).read_bytes()).split('\n')
    return [line.strip() for line in lines if line.strip()]


def few_shot_subset(images: ImageSet, paths: Sequence[str]) -> ImageSet:
    """An image set with only the listed training images.

    In lists published elsewhere, as SimCLR's of ImageNet, file names alone are
    enough where they are unique.
    """
    known: dict[str, tuple[str, int]] = {}
    twice = set()
    for sample in images.train:
        inner = sample[0].removeprefix(f'{images.train_folder}/')
        known[inner] = sample
        name = inner.rsplit('/', 1)[-1]
        if name != inner and known.setdefault(name, sample) != sample:
            twice.add(name)
    unclear = sorted(twice.intersection(paths))
    if unclear:
        raise UserError(
            f'{len(unclear)} of the {len(paths)} listed names, e.g. '
            f'{unclear[0]!r}, are those of several training images; list '
            'them with their folders, <class>/<file>.')
    missing = [path for path in paths if path not in known]
    if missing:
        raise UserError(
            f'{len(missing)} of the {len(paths)} listed images are not among '
            f'the training images of {images.root}, e.g. {missing[0]!r}; give '
            'the list of this data set.')
    train = tuple(sorted({known[path] for path in paths}))
    if len({label for _, label in train}) < len(images.classes):
        raise UserError(
            f'the list of {len(paths)} images leaves classes without any; '
            'list at least one of each.')
    return replace(images, train=train)
