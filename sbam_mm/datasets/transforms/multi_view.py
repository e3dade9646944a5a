# Copyright (c) OpenMMLab. All rights reserved.
"""Several views of an image, each with the maps that belong to it."""
import copy
from collections.abc import Sequence
from typing import Any

from mmpretrain.datasets import MultiView as _MultiView

from sbam_mm.errors import UserError
from sbam_mm.registry import TRANSFORMS

from .alignment import check_alignment


@TRANSFORMS.register_module()
class MultiView(_MultiView):
    """mmpretrain's ``MultiView``, which also keeps other keys of each view.

    Args:
        keys (Sequence[str]): What becomes a list beside ``img``, such as
            "segment_map", one element per view.

    Raises:
        UserError: If a view has a map and a transform that the map cannot
            follow, see ``check_alignment``; with the first image, if the
            transforms of a view do not make a key.
    """

    def __init__(self,
                 transforms: list[list],
                 num_views: int | list[int],
                 keys: Sequence[str] = (),
                 **kwargs: Any):
        super().__init__(transforms, num_views, **kwargs)
        self.keys = tuple(keys)
        check_alignment([self], complete=False)

    def transform(self, results: dict) -> dict:
        views = [view(copy.deepcopy(results)) for view in self.transforms]
        for key in self.keys:
            if not all(key in view for view in views):
                raise UserError(
                    f'MultiView shall keep {key!r}, which not every view has; '
                    'load it in the transforms of each kind of view, or take '
                    'it out of keys.')
        return dict(results, **{
            key: [view[key] for view in views]
            for key in ('img', *self.keys)
        })
