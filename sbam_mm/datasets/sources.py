# Copyright (c) OpenMMLab. All rights reserved.
"""A real, labelled image set for whoever has none at hand.

:func:`find_image_source` tries, in this order: the folder the user names, an
earlier download, CIFAR-10 and Fashion-MNIST from their official sources.
Whatever it finds is a tree of class folders that
:class:`ImageFolder` reads.
"""
import io
import json
import os
import os.path as osp
import re
import shutil
import socket
import statistics
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image
from rich.progress import track

from sbam_mm.errors import MissingFile, UserError
from sbam_mm.files import read_json

from .reading.tree import class_folders, image_files, read_regular_file

_RECORD = 'source.json'


class SourceUnavailable(UserError, RuntimeError):
    """An image set cannot be obtained from this source at present."""


@dataclass(frozen=True)
class ImageSource:
    """A labelled image set on disk.

    Attributes:
        name (str): Such as 'cifar10', or the name of the user's folder.
        root (str): Folder with ``train_prefix`` and ``test_prefix`` in it,
            each a tree of class folders.
        image_size (int): Shorter side in pixels; the median of a sample where
            images differ.
        channels (int): 1 for grey images, else 3.
        provenance (str): One sentence: what it is and where it came from.
        test_prefix (str): 'test' or 'val'.
    """
    name: str
    root: str
    num_classes: int
    image_size: int
    channels: int
    num_train: int
    num_test: int
    provenance: str
    train_prefix: str = 'train'
    test_prefix: str = 'test'


def find_image_source(data: str | None = None,
                      out: str = 'data',
                      timeout: float = 15.,
                      time_limit: float = 300.,
                      log: Callable[[str], None] = print) -> ImageSource:
    """Find a labelled image set, downloading one if need be.

    Args:
        data (str, optional): A folder with ``train/<class>/`` and
            ``test/<class>/`` or ``val/<class>/``. If given, nothing else is
            tried.
        out (str): Where downloads are kept, one folder each.
        timeout (float): Seconds of silence that count as unreachable.
        time_limit (float): Longest expected download, in seconds.
        log (Callable): Told, in a sentence each, what is tried and used.

    Example::

        source = find_image_source('~/data/imagenet100')
        train = dict(type='sbam_mm.ImageFolder', data_root=source.root,
                     data_prefix=source.train_prefix)
    """
    if data:
        source = read_image_source(data)
        log(f'Images: {source.provenance}')
        return source
    downloads = (('cifar10', download_cifar10), ('fashion_mnist',
                                                 download_fashion_mnist))
    for name, _ in downloads:
        if osp.isdir(osp.join(out, name)):
            source = read_image_source(osp.join(out, name))
            log(f'Images (downloaded earlier): {source.provenance}')
            return source
    reasons = []
    for name, download in downloads:
        try:
            source = download(
                osp.join(out, name),
                timeout=timeout,
                time_limit=time_limit,
                log=log)
        except SourceUnavailable as error:
            log(f'{error}')
            reasons.append(str(error).rstrip('.'))
        else:
            log(f'Images: {source.provenance}')
            return source
    raise SourceUnavailable(
        f'No image set could be downloaded ({"; ".join(reasons)}): pass a '
        'folder of your own with train/<class>/ and test/<class>/ through '
        '--data or DATA_ROOT.')


def read_image_source(root: str) -> ImageSource:
    """Describe a folder of ``train/<class>/`` and ``test|val/<class>/``.

    Sizes are taken from up to 64 images.
    """
    folder = Path(root).expanduser().resolve()
    # Where both exist, test may be without labels, as ImageNet's is.
    halves = ['train', 'test' if class_folders(folder / 'test') else 'val']
    for half in halves:
        if not class_folders(folder / half):
            raise MissingFile(
                f'{str(folder / half)!r} is not a folder of class folders: '
                f'arrange the images as {folder}/train/<class>/*.jpg and '
                f'{folder}/test/<class>/*.jpg (or val), or name another '
                'folder.')
    train, test = (class_folders(folder / half) for half in halves)
    if train != test:
        raise UserError(
            f'The class folders of {str(folder)!r} differ, '
            f'{sorted(set(train) ^ set(test))[0]!r} being in one of '
            f'{halves[0]} and {halves[1]} only: give both the same classes.')
    images, test_images = (image_files(folder / half) for half in halves)
    for half, found in zip(halves, (images, test_images)):
        if not found:
            raise MissingFile(
                f'{str(folder / half)!r} holds no image file: fill its class '
                'folders, or name another folder.')
    sides, modes = [], set()
    for path in images[::max(1, len(images) // 64)]:
        try:
            with Image.open(io.BytesIO(read_regular_file(str(path)))) as image:
                sides.append(min(image.size))
                modes.add(image.mode)
        # Broken files raise about anything out of a decoder.
        except Exception:
            continue  # the data set skips it as well, and says so
    if not sides:
        raise UserError(
            f'None of the images sampled from {str(folder / "train")!r} can '
            'be read: check that the files are images.')
    size = int(statistics.median(sides))
    record = folder / _RECORD
    known = (read_json(record, name=str, provenance=str)
             if record.is_file() else {})
    # Runs lie in folders of this name, which must not lead elsewhere.
    if not re.fullmatch(r'\w[\w.-]*', known.get('name', 'data')):
        raise UserError(f'{record} names the images {known["name"]!r}; '
                        'correct it to letters, digits, dots and dashes.')
    return ImageSource(
        name=known.get('name', folder.name),
        root=str(folder),
        num_classes=len(train),
        image_size=size,
        channels=1 if modes <= {'1', 'L', 'I;16', 'I'} else 3,
        num_train=len(images),
        num_test=len(test_images),
        provenance=known.get(
            'provenance', f'the folder {folder}, {len(train)} classes, '
            f'{len(images)} training and {len(test_images)} test images, '
            f'{size} pixels.'),
        test_prefix=halves[1])


def download_cifar10(root: str, **options: Any) -> ImageSource:
    """50,000 + 10,000 colour images of 32 x 32 pixels in 10 classes.

    ``root`` appears only when complete; options as of
    :func:`find_image_source`.
    """
    from torchvision.datasets import CIFAR10
    return _download(
        CIFAR10, CIFAR10.url, root, 'cifar10',
        'CIFAR-10 (Krizhevsky 2009), from its official source through '
        'torchvision: 32x32 colour, 50,000 training and 10,000 test images in '
        '10 classes.', **options)


def download_fashion_mnist(root: str, **options: Any) -> ImageSource:
    """60,000 + 10,000 grey images of 28 x 28 pixels in 10 classes."""
    from torchvision.datasets import FashionMNIST
    return _download(
        FashionMNIST, FashionMNIST.mirrors[0] + FashionMNIST.resources[0][0],
        root, 'fashion_mnist',
        'Fashion-MNIST (Xiao et al. 2017, MIT licence), from its official '
        'source through torchvision: 28x28 grey, 60,000 training and 10,000 '
        'test images in 10 classes.', **options)


def copy_first_images(source: ImageSource, out: str, train: int,
                      test: int) -> ImageSource:
    """Copy the first images of every class, for studies that must be cheap.

    The copy is ``out/<name>_<train>_<test>`` and appears only when complete;
    one that is there already is kept.

    Args:
        train, test (int): Images of each class, in the order of their names.

    Raises:
        UserError: If a class has fewer.
    """
    name = f'{source.name}_{train}_{test}'
    root = osp.join(out, name)
    if osp.isfile(osp.join(root, _RECORD)):
        return read_image_source(root)
    with _workspace(root) as (_, tree):
        for half, prefix, number in (
                ('train', source.train_prefix, train),
                ('test', source.test_prefix, test)):
            for label in class_folders(Path(source.root) / prefix):
                images = image_files(Path(source.root) / prefix / label)
                if len(images) < number:
                    raise UserError(
                        f'{prefix}/{label} of {source.root!r} has '
                        f'{len(images)} images, not {number}: ask for fewer.')
                for image in images[:number]:
                    target = tree / half / image.relative_to(
                        Path(source.root) / prefix)
                    target.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(image, target)
        return _finish(
            tree, root, name,
            f'the first {train} training and {test} test images of each '
            f'class of: {source.provenance}')


def _download(kind: Callable[..., Any],
              url: str,
              root: str,
              name: str,
              provenance: str,
              timeout: float = 15.,
              time_limit: float = 300.,
              log: Callable[[str], None] = print) -> ImageSource:
    """Get an image set through torchvision and write it as PNG files."""
    log(f'Downloading {provenance.partition(" (")[0]} from {url} ...')
    try:
        # torchvision sets no timeout, and tries a dead host several times.
        _check_speed(url, timeout, time_limit)
        with _socket_timeout(timeout), _workspace(root) as (raw, tree):
            for half in ('train', 'test'):
                _write_tree(
                    kind(raw, train=half == 'train', download=True), tree,
                    half)
            return _finish(tree, root, name, provenance)
    except SourceUnavailable:
        raise
    # A wrong checksum is a RuntimeError, a cut connection an OSError.
    except (OSError, RuntimeError, EOFError) as error:
        raise SourceUnavailable(
            f'{provenance.partition(" (")[0]} cannot be had from its official '
            f'source ({error}).') from error


def _check_speed(url: str, timeout: float, time_limit: float) -> None:
    """Refuse a host that is dead, or too slow for the whole file."""
    start = time.monotonic()
    with urllib.request.urlopen(url, timeout=timeout) as reply:
        size, got = reply.length or 0, 0
        while got < 2**20 and (chunk := reply.read(2**16)):
            got += len(chunk)
            if time.monotonic() - start > timeout:
                break
    expected = size / max(got, 1) * (time.monotonic() - start)
    if expected > time_limit:
        raise SourceUnavailable(
            f'{url} answers, but would take about {expected / 60:.0f} '
            'minutes.')


@contextmanager
def _socket_timeout(seconds: float) -> Iterator[None]:
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


@contextmanager
def _workspace(root: str) -> Iterator[tuple[str, Path]]:
    """A folder for raw files and one for the tree, on root's file system."""
    parent = Path(root).expanduser().resolve().parent
    parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(
            prefix='.download-', dir=parent, ignore_cleanup_errors=True) as t:
        raw, tree = Path(t) / 'raw', Path(t) / 'tree'
        raw.mkdir()
        tree.mkdir()
        yield str(raw), tree


def _write_tree(dataset: Sequence, tree: Path, half: str) -> None:
    """Write (PIL image, label) pairs as PNG files in class folders."""
    folders = []
    for name in dataset.classes:  # type: ignore[attr-defined]
        folders.append(tree / half / name.replace('/', '-').replace(' ', '_'))
        folders[-1].mkdir(parents=True)
    for index in track(
            range(len(dataset)), description=f'Writing {half} images'):
        image, label = dataset[index]
        # Little compression: the files are tiny, and this is 3 times faster.
        image.save(folders[label] / f'{index:05d}.png', compress_level=1)


def _finish(tree: Path, root: str, name: str, provenance: str) -> ImageSource:
    """Put the finished tree in its place, at once or not at all."""
    record = dict(name=name, provenance=provenance)
    (tree / _RECORD).write_text(json.dumps(record, indent=2) + '\n')
    target = Path(root).expanduser().resolve()
    try:
        os.replace(tree, target)
    except OSError:
        # Another process was faster; its tree is as good as this one.
        if not (target / _RECORD).is_file():
            raise
    return read_image_source(str(target))
