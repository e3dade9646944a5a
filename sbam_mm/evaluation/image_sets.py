# Copyright (c) OpenMMLab. All rights reserved.
"""The labelled image sets that models are judged on, as lists of images.

Class folders (ImageNet-1K, ImageNet-100 and any other tree), Tiny ImageNet as
it is distributed, and CIFAR-10, CIFAR-100 and STL-10 as torchvision keeps
them.
"""
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from sbam_mm.datasets.class_lists import CLASS_LISTS
from sbam_mm.datasets.reading.tree import (
    ENDINGS,
    class_folders,
    image_files,
    path_bytes,
)
from sbam_mm.datasets.torchvision_images import (
    FOLDERS,
    HALVES,
    named_images,
    open_source,
)
from sbam_mm.errors import UserError
from sbam_mm.files import write_atomically

# Sides, in pixels, from which images are cropped, and treated as large.
LARGE = 96
# A path below the root, and a label.
Samples = tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class ImageSet:
    """Training and test images with labels.

    Training paths begin with ``train_folder``; ``source`` is torchvision's
    name for images in its format.
    """
    name: str
    root: str
    classes: tuple[str, ...]
    train: Samples
    test: Samples
    source: str | None = None
    train_folder: str = 'train'

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the root, the paths and the labels."""
        digest = hashlib.sha256(path_bytes(self.root))
        for path, label in (*self.train, ('', -1), *self.test):
            digest.update(path_bytes(f'{path} {label}\n'))
        return digest.hexdigest()

    def dataset(self, split: str, pipeline: list[dict],
                folder: str | Path, **decoding: Any) -> dict:
        """The config of a data set; the list of its images is written.

        The list is named by its content, so nobody else's is overwritten.
        """
        samples = self.train if split == 'train' else self.test
        text = path_bytes(''.join(
            f'{path} {label}\n' for path, label in samples))
        mark = hashlib.sha256(text).hexdigest()[:12]
        path = Path(folder).resolve() / f'{split}-{mark}.txt'
        if not path.is_file():
            write_atomically(path, text)
        options = dict(
            data_root=self.root, ann_file=str(path), pipeline=pipeline,
            metainfo=dict(classes=self.classes), **decoding)
        if self.source:
            return dict(type='sbam_mm.TorchvisionImages', name=self.source,
                        half=split, **options)
        return dict(type='sbam_mm.ImageFolder', with_label=True, **options)

    def restrict(self, classes: Sequence[str]) -> 'ImageSet':
        """Some of the classes, numbered anew in the order of all classes."""
        unknown = [name for name in classes if name not in self.classes]
        if unknown:
            raise UserError(
                f'{len(unknown)} of the {len(classes)} classes asked for are '
                f'not in {self.root}, e.g. {unknown[0]!r}; correct the list, '
                'or give the whole data set.')
        wanted = [name for name in self.classes if name in set(classes)]
        number = {self.classes.index(name): i for i, name in enumerate(wanted)}

        def keep(samples: Samples) -> Samples:
            return tuple((path, number[label]) for path, label in samples
                         if label in number)

        return replace(
            self,
            name=f'{self.name}-{len(wanted)}',
            classes=tuple(wanted),
            train=keep(self.train),
            test=keep(self.test))


def eval_pipeline(size: int) -> list[dict]:
    """How images are judged: the shorter side 256 / 224 of the size, centre.

    Images for encoders of less than 96 pixels are resized as a whole.
    """
    if size < LARGE:
        return [
            dict(type='Resize', scale=(size, size), interpolation='bicubic'),
            dict(type='PackInputs')
        ]
    return [
        dict(
            type='ResizeEdge',
            scale=round(size * 256 / 224),
            edge='short',
            backend='pillow',
            interpolation='bicubic'),
        dict(type='CenterCrop', crop_size=size),
        dict(type='PackInputs')
    ]


def probe_pipeline(size: int) -> list[dict]:
    """How images are augmented for a linear probe: crops and flips."""
    return [
        dict(
            type='RandomResizedCrop',
            scale=size,
            backend='pillow',
            interpolation='bicubic'),
        dict(type='RandomFlip', prob=0.5),
        dict(type='PackInputs')
    ]


def read_image_set(root: str | Path,
                   classes: str | Path | None = None,
                   endings: Sequence[str] = ENDINGS) -> ImageSet:
    """Recognise a labelled image set by its files.

    Args:
        root (str or Path): Of class folders ``train/<class>/`` and
            ``test/<class>/`` or ``val/<class>/``; of Tiny ImageNet; or a
            folder with "cifar-10-batches-py", "cifar-100-python" or
            "stl10_binary" in it, or one of these.
        classes (str or Path, optional): "imagenet100" or another key of
            :data:`sbam_mm.datasets.class_lists.CLASS_LISTS`, or a file that
            names the classes to use, one a line (what follows the first
            blank is ignored where the whole line is no class).

    Example::

        cifar = read_image_set('data/cifar10')
        few = read_image_set('data/imagenet', 'imagenet100')
    """
    folder = Path(root).expanduser().resolve()
    if not folder.is_dir():
        raise UserError(f'the data folder {folder} does not exist; correct '
                        '--data.')
    is_tiny = (folder / 'val' / 'val_annotations.txt').is_file()
    images = _torchvision(folder) or (
        _tiny_imagenet(folder) if is_tiny else
        _class_folders(folder, endings))
    if classes is not None:
        images = images.restrict(
            CLASS_LISTS.get(str(classes))
            or _read_classes(Path(classes), images.classes))
    _check(images)
    return images


def _torchvision(folder: Path) -> ImageSet | None:
    for name, inside in FOLDERS.items():
        root = folder.parent if folder.name == inside else folder
        if not (root / inside).is_dir():
            continue
        train, test = (open_source(name, str(root), split) for split in HALVES)
        named = [
            tuple((f'{split}/{path}', label)
                  for path, label in named_images(source))
            for split, source in zip(HALVES, (train, test))
        ]
        return ImageSet(name, str(root), tuple(train.classes), named[0],
                        named[1], source=name)
    return None


def _tiny_imagenet(folder: Path) -> ImageSet:
    """``val/images`` holds all classes; a file beside it has the labels."""
    names = class_folders(folder / 'train')
    number = {name: i for i, name in enumerate(names)}
    found = []
    table = folder / 'val' / 'val_annotations.txt'
    for line in table.read_text().splitlines():
        file, name = line.split('\t')[:2]
        if name not in number:
            raise UserError(
                f'{table} has an image of class {name!r}, for which there is '
                f'no folder in {folder / "train"}; unpack Tiny ImageNet '
                'again.')
        if (folder / 'val' / 'images' / file).is_file():
            found.append((f'val/images/{file}', number[name]))
    return ImageSet(folder.name, str(folder), tuple(names),
                    _labelled(folder, 'train', names), tuple(found))


def _class_folders(folder: Path, endings: Sequence[str]) -> ImageSet:
    # Where both exist, test may be without labels, as ImageNet's is.
    splits = ['train', 'test' if class_folders(folder / 'test') else 'val']
    names, others = (class_folders(folder / split) for split in splits)
    for split, found in zip(splits, (names, others)):
        if not found:
            raise UserError(
                f'{folder / split} is not a folder of class folders; arrange '
                f'the images as {folder}/train/<class>/ and '
                f'{folder}/test/<class>/ (or val).')
    if names != others:
        odd = sorted(set(names) ^ set(others))
        raise UserError(
            f'{len(names)} classes are in {folder / splits[0]} and '
            f'{len(others)} in {folder / splits[1]}, e.g. {odd[0]!r} only in '
            'one of them; give both the same classes.')
    train, test = (_labelled(folder, split, names, endings)
                   for split in splits)
    return ImageSet(folder.name, str(folder), tuple(names), train, test)


def _labelled(folder: Path, split: str, names: Iterable[str],
              endings: Sequence[str] = ENDINGS) -> Samples:
    return tuple(
        (path.relative_to(folder).as_posix(), label)
        for label, name in enumerate(names)
        for path in image_files(folder / split / name, endings))


def _check(images: ImageSet) -> None:
    if not images.test:
        raise UserError(
            f'{images.root} holds no test image of its classes, or of those '
            'asked for; fill their folders, or give another folder.')
    counts: dict[int, int] = {}
    for _, label in images.train:
        counts[label] = counts.get(label, 0) + 1
    empty = [name for i, name in enumerate(images.classes)
             if i not in counts]
    if empty:
        raise UserError(
            f'{len(empty)} of the {len(images.classes)} classes in '
            f'{images.root} have no training image, e.g. {empty[0]!r}; fill '
            'or remove their folders.')
    if len(images.classes) < 2:
        raise UserError(f'{images.root} has a single class, so there is '
                        'nothing to tell apart; give at least two.')


def _read_classes(path: Path, known: Sequence[str]) -> list[str]:
    if not path.is_file():
        raise UserError(
            f'the list of classes {path} does not exist; correct its path, or '
            f'take a known list ({", ".join(CLASS_LISTS)}).')
    lines = [line.strip() for line in path.read_text().splitlines()]
    names = [line if line in known else line.split()[0]
             for line in lines if line and not line.startswith('#')]
    if len(set(names)) < 2:
        raise UserError(f'{path} names {len(set(names))} classes; name at '
                        'least two, one a line.')
    return names
