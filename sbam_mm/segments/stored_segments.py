# Copyright (c) OpenMMLab. All rights reserved.
"""The segments of the images that an encoder is judged on and told of.

Taguchi et al., *SAM Helps SSL*, BMVC 2024, Table 2: the first phase with
mask-guided attention bias.
"""
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config

from sbam_mm.datasets import ImageFolder
from sbam_mm.datasets.reading.stored_maps import ImageList
from sbam_mm.datasets.transforms.crop_maps import MapLoader
from sbam_mm.errors import UserError

from .maps import LoadSegments, SegmentMaps

# Crops that maps can follow, for those that tell nobody where they were made.
FOLLOWED = {
    'CenterCrop': 'sbam_mm.CenterCrop',
    'RandomResizedCrop': 'sbam_mm.RandomResizedCrop',
}


class StoredSegments:
    """The segments of a labelled image set, from one file or several.

    Args:
        files (Sequence[str]): By ``tools/generate_segments.py``: of the
            whole folder of the image set, or of its folders of training and
            test images.
        options (dict): ``mode`` and ``max_masks`` of
            :class:`~sbam_mm.segments.LoadSegments`.

    Raises:
        UserError: If a file is of other images, or an image of the set is
            in none of them.
    """

    def __init__(self, files: Sequence[str], images: Any, grid: int,
                 options: dict[str, Any]):
        if images.source is not None:
            raise UserError(
                f'segments belong to files of images, but {images.root} is '
                f'{images.source} as torchvision keeps it; write its images '
                'into class folders.')
        self.loaders = [LoadSegments(name, grid, **options) for name in files]
        rows: dict[str, tuple[int, int]] = {}
        fingerprints = []
        for number, name in enumerate(files):
            maps = SegmentMaps(name)
            fingerprints.append(maps.info.image_list.fingerprint)
            for row, path in enumerate(_images_of(maps, name, images)):
                rows[path] = (number, row)
        self.fingerprint = ','.join(fingerprints)
        self.rows: dict[str, list[tuple[int, int]]] = {}
        for half in ('train', 'test'):
            paths = [str(Path(images.root) / path)
                     for path, _ in getattr(images, half)]
            lacking = [path for path in paths if path not in rows]
            if lacking:
                raise UserError(
                    f'{len(lacking)} of the {len(paths)} {half} images have '
                    f'no segments in {", ".join(files)}, e.g. {lacking[0]}; '
                    'make maps of them with tools/generate_segments.py and '
                    'give all files to --segments.')
            self.rows[half] = [rows[path] for path in paths]

    def follow(self, half: str, pipeline: list[dict]) -> list[Any]:
        """A pipeline after which a sample has its ``segment_map``."""
        *steps, pack = [
            dict(step, type=FOLLOWED.get(step['type'], step['type']))
            for step in pipeline
        ]
        return [*steps, SegmentsOfSamples(self.loaders, self.rows[half]),
                dict(pack, algorithm_keys=['segment_map'])]


def _images_of(maps: SegmentMaps, name: str, images: Any) -> list[str]:
    """Paths of the images a file was made of, in the order of its rows."""
    folders = [Path(images.root)]
    folders += sorted({folders[0] / path.split('/')[0]
                       for path, _ in (*images.train[:1], *images.test[:1])})
    for folder in folders:
        for classes in (None, images.classes):
            if classes and folder == folders[0]:
                continue
            dataset = ImageFolder(str(folder), classes=classes)
            if (ImageList.of(dataset).fingerprint ==
                    maps.info.image_list.fingerprint):
                return [str(dataset.get_data_info(row)['img_path'])
                        for row in range(len(dataset))]
    raise UserError(
        f'{name} holds the segments of {len(maps.maps)} images that are not '
        f'those of {" or ".join(map(str, folders))}; make maps of these '
        'folders with tools/generate_segments.py.')


class SegmentsOfSamples(MapLoader):
    """``LoadSegments`` for samples that are numbered in another order."""

    def __init__(self, loaders: Sequence[LoadSegments],
                 rows: Sequence[tuple[int, int]]):
        self.loaders = list(loaders)
        self.rows = torch.tensor(rows)

    def transform(self, results: dict) -> dict:
        """Add ``segment_map``; see :class:`LoadSegments`."""
        file, row = self.rows[results['sample_idx']].tolist()
        loader = self.loaders[file]
        loader.aligned = self.aligned
        found = loader.transform(dict(results, sample_idx=row))
        return dict(results, segment_map=found['segment_map'])


def segment_options(config: Config | dict) -> dict[str, Any]:
    """``mode`` and ``max_masks`` of a config's ``LoadSegments``."""
    found: list[dict] = []

    def look(part: Any) -> None:
        if isinstance(part, dict):
            if str(part.get('type')).endswith('LoadSegments'):
                found.append(part)
            for inner in part.values():
                look(inner)
        elif isinstance(part, (list, tuple)):
            for inner in part:
                look(inner)

    look((config.get('train_dataloader') or {}).get('dataset'))
    return {key: found[0][key] for key in ('mode', 'max_masks')
            if found and key in found[0]}
