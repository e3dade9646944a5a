# Copyright (c) OpenMMLab. All rights reserved.
"""A folder of images, robust to what real folders contain."""
import logging
import os.path as osp
import sys
from collections.abc import Callable, Sequence
from typing import Any

import mmengine.fileio as fileio
import numpy as np
from mmengine.dist import is_main_process
from mmengine.logging import print_log
from mmpretrain.datasets import CustomDataset
from rich.progress import track

from sbam_mm.errors import MissingFile, NotEnoughMemory, UserError
from sbam_mm.registry import DATASETS

from .class_lists import CLASS_LISTS
from .reading.decoding import EncodedImage, decode_image
from .reading.image_tree import LocalTree, RemoteTree
from .reading.levels import ValueRange, check_decoding
from .reading.read_counter import ReadCounter, UnreadableImagesError
from .reading.tree import (
    ENDINGS,
    path_text,
    printable,
    read_regular_file,
    relative_images,
)
from .transforms.alignment import check_alignment
from .transforms.any_channels import for_any_channels
from .transforms.pack_encoded import for_device, kind, option


@DATASETS.register_module()
class ImageFolder(CustomDataset):
    """Images in class folders, or simply in a folder.

    Hidden and system folders are no classes, and their files no images, see
    :mod:`~sbam_mm.datasets.reading.tree`. A class folder without images keeps
    its number, and is named in the log. Where ``data_prefix`` is 'train' and
    there is no such folder (and none called 'test' or 'val'), the images
    below ``data_root`` are read, without labels. Every sample carries
    ``img_path``, ``sample_idx`` and, with labels, ``gt_label``.

    Two things differ from mmpretrain's ``CustomDataset``:

    - A file that cannot be decoded (truncated, not an image, gone) is skipped:
      its path is logged once, it is counted across data-loader workers, and
      another sample is drawn from the worker's own generator, so that a run
      stays reproducible. A run whose files are mostly unreadable stops.
    - The data set decodes, strictly (see :func:`decode_image`). A leading
      ``LoadImageFromFile`` of the pipeline is therefore dropped: with its
      default decoder a truncated JPEG would pass as a half-grey picture. A
      leading :class:`LoadRandomResizedCrop` decodes in its place, as
      strictly, but hardly more than the crop.

    Args:
        data_prefix (str | dict): A folder below ``data_root``: 'train'.
        ann_file (str): File with one ``path label`` a line, below
            ``data_root``; '' reads the folder tree.
        with_label (bool, optional): True: sub-folders are classes. False: all
            images below the folder, without labels. None: True unless images
            lie directly in the folder.
        extensions (Sequence[str], optional): File name endings that count
            as images. Defaults to None: those of the usual formats, and
            ``.npy`` where ``channels`` or ``value_range`` is given.
        classes (str | Sequence[str], optional): Folders to use, by name, or
            a file with one a line; the class of a folder is its place in the
            list. "imagenet100" stands for the 100 classes of ImageNet that
            contrastive learning uses. Names that are no folders rename all
            folders in order, as in mmpretrain. Defaults to None: all folders.
        max_unreadable (float): The run stops once more than this share of the
            files tried could not be read, after at least 32 of them (or all,
            in a smaller data set). 1 never stops. Each process of a
            distributed run counts its own.
        cache (bool): Decode all images once, when the data set is built, and
            keep the uint8 pixels in memory. Forked workers share them, spawned
            ones get a copy each.
        cache_limit (float): The most memory for ``cache=True``, in GiB.
        repeats (int): Repeated augmentation: an image is decoded once and sent
            through the pipeline this many times. Samples become lists, which
            ``collate_fn=dict(type='sbam_mm.flat_collate')`` joins to
            ``repeats * batch_size`` crops; divide batch size and epochs by
            it to train as long.
        channels (int): Of the images, see :func:`decode_image`; the model's
            ``in_channels``. If it is not 3, transforms that only make sense
            in colour are refused.
        value_range (Sequence, optional): (low, high), the values that become
            black and white in files of more than 8 bits, or such a pair for
            each channel. Without it 16-bit files are read from 0 to 65535, and
            32-bit and floating-point ones are unreadable.

    Raises:
        MissingFile: The folder is missing or holds no image, or folders
            of ``classes`` are missing.
        UnreadableImagesError: More than ``max_unreadable`` cannot be read.
        UserError: An option out of range, a pipeline that expects an image
            type which is not decoded to, or one whose stored maps cannot
            follow the image, see ``check_alignment``.
        NotEnoughMemory: ``cache=True`` exceeds ``cache_limit``.
    """

    # Whether the images are files, which a transform can decode in part.
    has_files = True

    def __init__(self,
                 data_root: str = '',
                 data_prefix: str | dict = '',
                 ann_file: str = '',
                 with_label: bool | None = None,
                 extensions: Sequence[str] | None = None,
                 pipeline: Sequence = (),
                 classes: str | Sequence[str] | None = None,
                 max_unreadable: float = 0.5,
                 cache: bool = False,
                 cache_limit: float = 8.,
                 repeats: int = 1,
                 channels: int = 3,
                 value_range: ValueRange | None = None,
                 backend_args: dict | None = None,
                 **kwargs) -> None:
        if not 0 <= max_unreadable <= 1:
            raise UserError(
                f'max_unreadable={max_unreadable} is not a share of the '
                'images: give a number between 0 and 1.')
        if repeats < 1:
            raise UserError(
                f'repeats={repeats} is how many crops are made of an image: '
                'give 1 or more.')
        check_decoding(channels, value_range)
        self.channels = channels
        self.value_range = value_range
        self.max_unreadable = max_unreadable
        self.cache = cache
        self.cache_limit = cache_limit
        self.repeats = repeats
        self.backend_args = backend_args
        self._auto_label = with_label is None
        self._pixels: np.ndarray | None = None
        if not (data_root or data_prefix or ann_file):
            raise MissingFile(_how_to('No image folder is set'))
        super().__init__(
            data_root=osp.expanduser(data_root or ''),
            data_prefix=data_prefix,
            ann_file=ann_file,
            with_label=with_label is not False,
            extensions=extensions or image_endings(channels, value_range),
            pipeline=for_any_channels(
                for_device(_without_loader(pipeline)), channels),
            classes=CLASS_LISTS.get(classes, classes) if isinstance(
                classes, str) else classes,
            **kwargs)
        check_alignment(self.pipeline.transforms)

    # Building

    def load_data_list(self) -> list[dict]:
        """``img_path`` and, with labels, ``gt_label`` of each image."""
        if self._is_local() and not osp.isdir(self.img_prefix):
            self._take_whole_root()
        folder = self.img_prefix
        if not self.ann_file:
            samples = self._find_samples()
        elif self._is_local() and not osp.isfile(self.ann_file):
            raise MissingFile(
                f'The annotation file {self.ann_file!r} does not exist: '
                "correct ann_file, or set ann_file='' to read the class "
                'folders.')
        else:
            samples = self._listed_samples()
        join = fileio.get_file_backend(folder, enable_singleton=True).join_path
        if self.with_label:
            return [
                dict(img_path=join(folder, path), gt_label=int(label))
                for path, label in samples
            ]
        return [dict(img_path=join(folder, path)) for path in samples]

    def _is_local(self) -> bool:
        backend = (self.backend_args or {}).get('backend', 'local')
        return '://' not in self.img_prefix and backend == 'local'

    def _take_whole_root(self) -> None:
        """Read a folder of images that has no training half."""
        folder, root = self.img_prefix, self.data_root
        halves = [
            name for name in ('test', 'val')
            if osp.isdir(osp.join(root, name))
        ]
        if (self.ann_file or not self._auto_label or halves
                or osp.relpath(folder, root or '.') != 'train'
                or not relative_images(root, self.extensions)):
            raise MissingFile(
                _how_to(f'The image folder {folder!r} does not exist'))
        print_log(
            f'{printable(root)} has no folder train: all images below it are '
            'taken, without labels.',
            logger='current')
        self.data_prefix['img_path'] = root
        self.with_label = False

    def _listed_samples(self) -> list:
        # As bytes, because names of files need not be UTF-8.
        text = path_text(fileio.get(self.ann_file))
        lines = [line for line in text.split('\n') if line.strip()]
        if not lines:
            raise MissingFile(
                _how_to(f'{self.ann_file!r} lists no image'))
        if self.with_label:
            return [line.strip().rsplit(' ', 1) for line in lines]
        return [line.rstrip('\r') for line in lines]

    def _find_samples(self) -> list:
        folder = self.img_prefix
        kind = LocalTree if self._is_local() else RemoteTree
        tree = kind(folder, self.extensions)
        names = tree.classes() if self.with_label else []
        if self._auto_label and self.with_label:
            self.with_label = bool(names) and not tree.direct_images()
        if not self.with_label:
            samples: list = tree.images()
        else:
            numbers = self._numbers(names)
            found = {name: tree.images(name) for name in sorted(numbers)}
            samples = [(f'{name}/{path}', numbers[name])
                       for name, paths in found.items() for path in paths]
            empty = [name for name, paths in found.items() if not paths]
            if empty and samples:
                print_log(
                    f'{printable(folder)} has {len(empty)} class folders '
                    f'without an image ({printable(empty[0])}), which keep '
                    'their numbers among the classes.',
                    logger='current',
                    level=logging.WARNING)
        if not samples:
            raise MissingFile(
                _how_to(f'The image folder {folder!r} holds no image with '
                        'one of the endings '
                        f'{", ".join(sorted(self.extensions))}'))
        return samples

    def _numbers(self, folders: list[str]) -> dict[str, int]:
        """The number of each class, by the name of its folder."""
        numbers = {name: i for i, name in enumerate(folders)}
        if self.CLASSES is None:
            self._metainfo['classes'] = tuple(folders)
        else:
            missing = sorted(set(self.CLASSES) - set(folders))
            if len(missing) < len(self.CLASSES):
                if missing:
                    raise MissingFile(
                        f'{self.img_prefix!r} has no folders for '
                        f'{len(missing)} of the {len(self.CLASSES)} classes, '
                        f'such as {missing[0]!r}: add them, or take them out '
                        'of classes.')
                numbers = {name: i for i, name in enumerate(self.CLASSES)}
            elif len(folders) != len(self.CLASSES):
                raise MissingFile(
                    f'{self.img_prefix!r} has {len(folders)} folders and none '
                    f'of the {len(self.CLASSES)} classes, such as '
                    f'{missing[0]!r}: name another folder, or other classes.')
        self.folder_to_idx = numbers
        return numbers

    def full_init(self) -> None:
        """List the images and, with ``cache=True``, decode them."""
        if not self._fully_initialized:
            super().full_init()
            self._prepare_reads()

    def get_subset_(self, indices: Sequence[int] | int) -> None:
        """As mmengine's; counters and cache follow the new numbering."""
        super().get_subset_(indices)
        self._prepare_reads()

    def get_subset(self, indices: Sequence[int] | int) -> 'ImageFolder':
        """As mmengine's; counters and cache follow the new numbering."""
        subset = super().get_subset(indices)
        subset._prepare_reads()
        return subset

    def _prepare_reads(self) -> None:
        self._reads = ReadCounter(
            len(self), self.max_unreadable, self.img_prefix)
        self._pixels = None
        if self.cache:
            self._fill_cache()

    def _fill_cache(self) -> None:
        images: list[np.ndarray | None] = []
        room = self.cache_limit * 2**30
        quiet = not (is_main_process() and sys.stdout.isatty())
        for index in track(
                range(len(self)), description='Decoding', disable=quiet):
            image = self._read(index)
            room -= 0 if image is None else image.nbytes
            if room < 0:
                raise NotEnoughMemory(
                    f'The {len(self)} images of {self.img_prefix!r} do not '
                    f'fit into {self.cache_limit} GiB: set cache=False, or '
                    'raise cache_limit.')
            images.append(image)
        self._reads.check()
        # One buffer, so that a forked worker touches no reference count in
        # it, which would copy its pages.
        self._shapes = [None if i is None else i.shape for i in images]
        sizes = [0 if i is None else i.size for i in images]
        self._starts = np.cumsum([0, *sizes])
        self._pixels = np.empty(self._starts[-1], np.uint8)
        for start, size, image in zip(self._starts, sizes, images):
            if image is not None:
                self._pixels[start:start + size] = image.reshape(-1)

    # Reading

    @property
    def num_unreadable(self) -> int:
        """Distinct files found unreadable, by any worker so far."""
        return self._reads.count

    def prepare_data(self, idx: int) -> Any:
        """Decode image ``idx`` and send it through the pipeline.

        With ``repeats`` above 1 the result is a list. An unreadable file gives
        None while training, which makes mmengine draw another; with
        ``test_mode`` the next readable file stands in.
        """
        for _ in range(len(self)):
            info = self.get_data_info(idx)
            samples = self._samples(info)
            if samples is not None:
                return samples if self.repeats > 1 else samples[0]
            if not self.test_mode:
                return None
            idx = (idx + 1) % len(self)
        raise UnreadableImagesError(self._reads.message())

    def _samples(self, info: dict) -> list | None:
        steps = self.pipeline.transforms
        if not (self.has_files and self._pixels is None and steps
                and getattr(steps[0], 'takes_encoded', False)):
            image = self._load(info['sample_idx'], info['img_path'])
            if image is None:
                return None
            shape = image.shape[:2]
            return [
                self.pipeline(
                    dict(info, img=each, img_shape=shape, ori_shape=shape))
                for each in (image, *(image.copy()
                                      for _ in range(1, self.repeats)))
            ]
        if self.repeats > 1:
            whole = self._decode(info, self._encoded_whole)
            return whole and [
                self.pipeline(dict(info, encoded=whole))
                for _ in range(self.repeats)
            ]
        # Only the first step decodes; what fails later is no broken file.
        sample = self._decode(
            info,
            lambda content: steps[0](
                dict(info, encoded=self._encoded(content)))
        )
        for step in steps[1:]:
            if sample is None:
                break
            sample = step(sample)
        return None if sample is None else [sample]

    def _load(self, index: int, path: str) -> np.ndarray | None:
        if self._pixels is None:
            return self._read(index, path)
        shape = self._shapes[index]
        if shape is None:
            return None
        start, stop = self._starts[index:index + 2]
        # A copy: a transform that works in place must not spoil the cache.
        return self._pixels[start:stop].reshape(shape).copy()

    def _read(self, index: int, path: str = '') -> np.ndarray | None:
        path = path or self.get_data_info(index)['img_path']
        return self._decode(
            dict(sample_idx=index, img_path=path),
            lambda content: decode_image(content, self.channels,
                                         self.value_range))

    def _encoded(self, content: bytes) -> EncodedImage:
        return EncodedImage(content, self.channels, self.value_range)

    def _encoded_whole(self, content: bytes) -> EncodedImage:
        image = self._encoded(content)
        # With decode='device' each crop is decoded by itself, and not here.
        if self.channels == 3 and getattr(
                self.pipeline.transforms[0], 'decode', '') != 'device':
            image.whole()
        return image

    def _decode(self, info: dict, decode: Callable) -> Any:
        """What ``decode`` makes of the file; None if it is unreadable."""
        index, path = info['sample_idx'], info['img_path']
        try:
            content = read_regular_file(path, self.backend_args)
            made = decode(content)
        except MemoryError:
            raise
        # Broken files raise about anything out of a decoder.
        except Exception as error:
            self._reads.unreadable(index, path, error)
            return None
        self._reads.readable(index)
        return made


def image_endings(channels: int = 3,
                  value_range: ValueRange | None = None) -> tuple[str, ...]:
    """Endings of image files.

    ``.npy`` is among them only for other than plain colour images: beside
    photographs such files are mostly something else.
    """
    if channels == 3 and value_range is None:
        return ENDINGS
    return (*ENDINGS, '.npy')


def _how_to(problem: str) -> str:
    return (f'{problem}: set the environment variable DATA_ROOT (or '
            '--data-root) to a folder with train/<class>/*.jpg and '
            "test|val/<class>/*.jpg, or data_prefix='' if the images lie "
            'directly in it.')


def _without_loader(pipeline: Sequence) -> list[dict | Callable]:
    """The pipeline less a leading ``LoadImageFromFile``."""
    steps = list(pipeline)
    if not steps or kind(steps[0]) != 'LoadImageFromFile':
        return steps
    if (option(steps[0], 'color_type') not in (None, 'color')
            or option(steps[0], 'to_float32')):
        raise UserError(
            'ImageFolder decodes images itself, to uint8: remove color_type '
            'and to_float32 from LoadImageFromFile, set channels of '
            'ImageFolder, and convert the image in a later transform.')
    return steps[1:]
