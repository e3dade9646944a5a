# Copyright (c) OpenMMLab. All rights reserved.
"""CIFAR and STL-10 from the files that torchvision keeps."""
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import mmengine.fileio as fileio
import numpy as np
from torchvision import datasets

from sbam_mm.errors import MissingFile, UserError
from sbam_mm.registry import DATASETS

from .image_folder import ImageFolder
from .reading.tree import path_text

# The folder that torchvision unpacks each of them to.
FOLDERS = dict(
    CIFAR10='cifar-10-batches-py',
    CIFAR100='cifar-100-python',
    STL10='stl10_binary')
HALVES = ('train', 'test')


class LabelledSTL10(datasets.STL10):
    """STL-10 without its 2.8 GB of unlabelled images.

    torchvision requires them and computes their checksum every time.
    """
    train_list = datasets.STL10.train_list[:2]


SOURCES = dict(
    CIFAR10=datasets.CIFAR10, CIFAR100=datasets.CIFAR100, STL10=LabelledSTL10)


@DATASETS.register_module()
class TorchvisionImages(ImageFolder):
    """CIFAR-10, CIFAR-100 or STL-10 without unpacking them to image files.

    Nothing is downloaded. The images are named as if they lay in class
    folders, ``train/<class>/00012.png`` for the image of index 12, so that
    lists of images can name them.

    Args:
        data_root (str): The folder given to torchvision as ``root``.
        ann_file (str): A list of the images to use, one ``path label`` a
            line. Defaults to '': all of them.

    Example::

        dataset = dict(type='sbam_mm.TorchvisionImages', name='CIFAR100',
                       data_root='data', half='test', pipeline=pipeline)
    """

    has_files = False

    def __init__(self,
                 name: str,
                 data_root: str,
                 half: str = 'train',
                 ann_file: str = '',
                 pipeline: Sequence = (),
                 **kwargs: Any) -> None:
        if name not in FOLDERS or half not in HALVES:
            raise UserError(
                f'there are no {half!r} images of {name!r}; choose one of '
                f'{", ".join(FOLDERS)} and of {", ".join(HALVES)}.')
        if kwargs.get('channels', 3) != 3:
            raise UserError(
                f'{name} is of colour images: leave out channels, or set the '
                "model's in_channels=3.")
        self.name, self.half = name, half
        super().__init__(
            data_root=data_root, ann_file=ann_file, pipeline=pipeline,
            **kwargs)

    def load_data_list(self) -> list[dict]:
        """The images with their labels, in torchvision's order."""
        self.source = open_source(self.name, self.img_prefix, self.half)
        self._metainfo.setdefault('classes', tuple(self.source.classes))
        listed = [
            (f'{self.half}/{path}', label)
            for path, label in named_images(self.source)
        ]
        if self.ann_file:
            known = dict(listed)
            listed = []
            for line in path_text(fileio.get(
                    self.ann_file)).rstrip('\n').split('\n'):
                path, label = line.rsplit(' ', 1)
                if known.get(path) != int(label):
                    raise UserError(
                        f'{self.ann_file} lists {path!r} as class {label}, '
                        f'which {self.name} in {self.img_prefix!r} does not '
                        'have; make the list from this data set.')
                listed.append((path, int(label)))
        return [
            dict(img_path=f'{self.img_prefix}/{path}', gt_label=label)
            for path, label in listed
        ]

    def _read(self, index: int, path: str = '') -> np.ndarray:
        path = path or self.get_data_info(index)['img_path']
        image, _ = self.source[int(Path(path).stem)]
        return np.asarray(image.convert('RGB'))[..., ::-1]


def open_source(name: str, root: str, half: str) -> Any:
    """torchvision's data set of (PIL image, label)."""
    make = SOURCES[name]
    half_option = dict(split=half) if name == 'STL10' else dict(
        train=half == 'train')
    try:
        source = make(root, download=False, **half_option)
        # STL10 goes on without the file with the names of its classes.
        if not hasattr(source, 'classes'):
            raise OSError('no names of classes')
        return source
    except (RuntimeError, OSError) as error:
        raise MissingFile(
            f'{name} in {root!r} is missing or incomplete; unpack it again '
            f'to {root}/{FOLDERS[name]}.') from error


def named_images(source: Any) -> list[tuple[str, int]]:
    """``<class>/<index>.png`` and the label of every image."""
    labels = source.labels if hasattr(source, 'labels') else source.targets
    return [(f'{source.classes[label]}/{index:05d}.png', int(label))
            for index, label in enumerate(labels)]
