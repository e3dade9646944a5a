# Copyright (c) OpenMMLab. All rights reserved.
"""Where objects are: PNG masks, COCO files and boxes, on pixels and tokens."""
import json
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageOps
from torch import Tensor

from sbam_mm.datasets.reading.tree import image_files
from sbam_mm.errors import UserError

Size = tuple[int, int]
SUFFIXES = ('.jpg', '.jpeg', '.png', '.webp', '.bmp', '.tif', '.tiff')


class ObjectMasks(Protocol):
    """Anything that knows the objects of an image by its file name."""

    def __call__(self, image: str | Path, size: Size) -> np.ndarray:
        """Boolean (H, W), True on any object; an error if it is not known."""


def decode_counts(text: str) -> list[int]:
    """Run lengths from the letters COCO packs them into.

    Six bits per letter, from "0" on: five of a number, the lowest first, and
    one that says whether more follow. From the fourth run on the difference
    to the run two before is written.

    Example:
        >>> decode_counts('52203')
        [5, 2, 2, 2, 5]
    """
    counts: list[int] = []
    value, shift = 0, 0
    for letter in text:
        bits = ord(letter) - 48
        value |= (bits & 0x1f) << shift
        shift += 5
        if bits & 0x20:
            continue
        if bits & 0x10:  # the sign
            value -= 1 << shift
        counts.append(value + counts[-2] if len(counts) > 2 else value)
        value, shift = 0, 0
    return counts


def rle_mask(rle: Mapping[str, Any]) -> np.ndarray:
    """Decode COCO's run-length encoding to a boolean (H, W).

    Counts are a list, or the letters of :func:`decode_counts`; runs go down
    the columns.

    Example:
        >>> rle_mask(dict(size=[2, 3], counts=[1, 3, 2])).astype(int).tolist()
        [[0, 1, 0], [1, 1, 0]]
    """
    counts = rle['counts']
    if isinstance(counts, (str, bytes)):
        text = counts.decode() if isinstance(counts, bytes) else counts
        counts = decode_counts(text)
    height, width = rle['size']
    if sum(counts) != height * width or min(counts, default=0) < 0:
        raise UserError(
            f'the runs of a segmentation fill {sum(counts)} pixels of '
            f'{height} x {width}; the annotation file is damaged.')
    values = np.arange(len(counts)) % 2 == 1
    return values.repeat(counts).reshape(width, height).T


def polygon_mask(polygons: Sequence[Sequence[float]],
                 size: Size) -> np.ndarray:
    """Fill polygons, each x, y, x, y ... in pixels: boolean (H, W)."""
    canvas = Image.new('1', (size[1], size[0]))
    draw = ImageDraw.Draw(canvas)
    for polygon in polygons:
        points = list(zip(polygon[::2], polygon[1::2]))
        if len(points) > 2:
            # From coordinates of edges to those of pixel centres.
            draw.polygon([(x - .5, y - .5) for x, y in points], fill=1)
    return np.asarray(canvas, dtype=bool)


def box_mask(box: Sequence[float], size: Size) -> np.ndarray:
    """Fill a box (x, y, width, height) in pixels: boolean (H, W).

    Example:
        >>> box_mask([1, 0, 2, 1], (2, 4)).astype(int).tolist()
        [[0, 1, 1, 0], [0, 0, 0, 0]]
    """
    x, y, width, height = box
    mask = np.zeros(size, dtype=bool)
    mask[max(0, round(y)):max(0, round(y + height)),
         max(0, round(x)):max(0, round(x + width))] = True
    return mask


def _segment_mask(annotation: Mapping[str, Any], size: Size) -> np.ndarray:
    """One object; its box where it has no outline."""
    segment = annotation.get('segmentation')
    if isinstance(segment, Mapping):
        return rle_mask(segment)
    if segment:
        return polygon_mask(segment, size)
    return box_mask(annotation['bbox'], size)


def _check_size(found: tuple[int, ...], size: Size, image: str | Path,
                path: Path) -> None:
    if tuple(found) != tuple(size):
        raise UserError(
            f'{image} has {size[0]} x {size[1]} pixels, but its objects in '
            f'{path} are drawn on {found[0]} x {found[1]}; give the '
            'annotation of the same file.')


class CocoMasks:
    """Objects of a JSON file: COCO's instances, or boxes by file name.

    Args:
        path (str or Path): COCO's format with "images" and "annotations"
            (polygons, run lengths in either form, or boxes alone), or simply
            ``{"photo.jpg": [[x, y, width, height], ...]}``. All objects of
            an image, crowds included, make one mask.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        try:
            content = json.loads(self.path.read_text(encoding='utf-8'))
        except FileNotFoundError as error:
            raise UserError(f'the annotations {path} do not exist; check '
                            'the path.') from error
        except (OSError, ValueError) as error:
            raise UserError(f'the annotations {path} cannot be read as '
                            'JSON; give a COCO file, boxes, or a folder of '
                            'PNG masks.') from error
        self.sizes: dict[str, Size] = {}
        self.objects: dict[str, list[dict]] = {}
        try:
            self._index(content)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise UserError(
                f'the annotations {path} lack "images" and "annotations" of '
                'a COCO file and are no boxes {"photo.jpg": [[x, y, width, '
                'height]]} either; correct them.') from error

    def _index(self, content: dict) -> None:
        if 'images' not in content:
            for name, boxes in content.items():
                self.objects[Path(name).name] = [
                    dict(bbox=[float(number) for number in box])
                    for box in boxes
                ]
            return
        names = {}
        for image in content['images']:
            name = names[image['id']] = Path(image['file_name']).name
            self.sizes[name] = (image['height'], image['width'])
            self.objects[name] = []
        for annotation in content['annotations']:
            self.objects[names[annotation['image_id']]].append(annotation)

    def __call__(self, image: str | Path, size: Size) -> np.ndarray:
        """See :class:`ObjectMasks`."""
        name = Path(image).name
        if name not in self.objects:
            raise UserError(f'there is no annotation for {image} in '
                            f'{self.path}; add one or leave the image out.')
        _check_size(self.sizes.get(name, size), size, image, self.path)
        mask = np.zeros(size, dtype=bool)
        for annotation in self.objects[name]:
            part = _segment_mask(annotation, size)
            _check_size(part.shape, size, image, self.path)
            mask |= part
        return mask


class PngMasks:
    """Objects drawn as PNG files: what is not zero (black) is object.

    The folder has ``<stem of the image>.png``. 8- and 16-bit grey, palette
    (the indices count, not the colours) and colour files are read; alpha is
    ignored.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)

    def __call__(self, image: str | Path, size: Size) -> np.ndarray:
        """See :class:`ObjectMasks`."""
        path = self.path / f'{Path(image).stem}.png'
        if not path.is_file():
            raise UserError(f'there is no annotation for {image}: {path} '
                            'does not exist; draw one or leave the image '
                            'out.')
        try:
            with Image.open(path) as file:
                opaque = dict(LA='L', PA='RGB', RGBA='RGB').get(file.mode)
                pixels = np.asarray(file.convert(opaque) if opaque else file)
        except Exception as error:  # Pillow raises many kinds
            raise UserError(f'the mask {path} cannot be read; it is damaged '
                            'or no PNG, so draw it again.') from error
        mask = np.asarray(np.atleast_3d(pixels != 0).any(axis=2))
        _check_size(mask.shape, size, image, path)
        return mask


class GridMasks:
    """Objects on a coarse grid, of many images in one ``.npz`` file.

    ``names`` (N,) are the ends of the images' paths without their suffix,
    such as "val/cat/0007"; ``masks`` (N, ceil(h w / 8)) are the cells' bits
    as ``numpy.packbits`` packs them, row by row; ``shape`` is (h, w).
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        try:
            with np.load(path) as file:
                names, masks = file['names'], file['masks']
                self.shape = tuple(map(int, file['shape']))
            self.masks = {
                Path(str(name)).parts: bits for name, bits in zip(
                    names, np.unpackbits(masks, axis=1).astype(bool))}
            self.depths = {len(parts) for parts in self.masks}
            cells = self.shape[0] * self.shape[1]
            if len(names) != len(masks) or masks.shape[1] * 8 < cells:
                raise ValueError
        except FileNotFoundError as error:
            raise UserError(f'the annotations {path} do not exist; check '
                            'the path.') from error
        except (OSError, ValueError, KeyError, IndexError, TypeError,
                zipfile.BadZipFile) as error:
            raise UserError(
                f'the annotations {path} are damaged, or no .npz file with '
                'names, masks and shape; make them again.') from error

    def __call__(self, image: str | Path, size: Size) -> np.ndarray:
        """See :class:`ObjectMasks`."""
        parts = Path(image).with_suffix('').parts
        for depth in self.depths:
            bits = self.masks.get(parts[-depth:])
            if bits is not None:
                height, width = self.shape
                cells = bits[:height * width].reshape(height, width)
                rows, columns = (np.arange(n) * m // n
                                 for n, m in zip(size, self.shape))
                return cells[rows][:, columns]
        raise UserError(f'there is no annotation for {image} in {self.path}; '
                        'add one or leave the image out.')


def read_object_masks(path: str | Path) -> ObjectMasks:
    """Annotations in a folder of PNG masks, an ``.npz`` or a JSON file."""
    if Path(path).is_dir():
        return PngMasks(path)
    return GridMasks(path) if Path(path).suffix == '.npz' else CocoMasks(path)


def find_images(paths: Sequence[str | Path],
                **decoding: Any) -> list[Path]:
    """Image files, and those in folders (by name, not searched deeper).

    Where ``decoding`` has ``channels`` or ``value_range``, ``.npy`` files
    count.
    """
    files: list[Path] = []
    for path in map(Path, paths):
        if path.is_dir():
            files += image_files(
                path, SUFFIXES + ('.npy', ) * bool(decoding), deep=False)
        elif path.is_file():
            files.append(path)
        else:
            raise UserError(f'{path} does not exist; give image files or a '
                            'folder of them.')
    if not files:
        raise UserError(f'{paths[0]} has no images '
                        f'({", ".join(SUFFIXES)}); give another folder.')
    return files


def token_coverage(masks: Sequence[np.ndarray], size: Size,
                   patch_size: int) -> Tensor:
    """How much of every token's patch is object: float32 (B, L) in [0, 1].

    The masks (H, W) are cut and resized like pictures: the largest centred
    crop of the ``size`` that the model sees. The patches' pixels are averaged.

    Example:
        >>> mask = np.zeros((4, 4), bool)
        >>> mask[:2, :3] = True
        >>> token_coverage([mask], (4, 4), 2).tolist()
        [[1.0, 0.5, 0.0, 0.0]]
    """
    height, width = size
    covers = []
    for mask in masks:
        pixels = ImageOps.fit(
            Image.fromarray(mask.astype(np.float32)), (width, height),
            Image.Resampling.BOX)
        cells = np.asarray(pixels).reshape(height // patch_size, patch_size,
                                           width // patch_size, patch_size)
        covers.append(torch.from_numpy(cells.mean(axis=(1, 3))).flatten())
    return torch.stack(covers).clamp(0, 1)


def covered_patches(coverage: Tensor, threshold: float) -> Tensor:
    """Patches that are covered to at least a share in (0, 1], boolean."""
    if not 0 < threshold <= 1:
        raise UserError('threshold is a share of a patch in (0, 1], got '
                        f'{threshold:g}; half is 0.5.')
    return coverage >= threshold
