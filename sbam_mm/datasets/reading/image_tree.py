# Copyright (c) OpenMMLab. All rights reserved.
"""The classes and images below a folder, on a disk or in another storage."""
from collections.abc import Sequence
from typing import Any

import mmengine.fileio as fileio

from .tree import class_folders, is_visible, relative_images


class LocalTree:
    """A folder on a disk; ``endings`` of image files are in lower case."""

    def __init__(self, folder: str, endings: Sequence[str]):
        self.folder = folder
        self.endings = tuple(endings)

    def classes(self) -> list[str]:
        """Names of the folders that are classes, sorted."""
        return class_folders(self.folder)

    def direct_images(self) -> list[str]:
        """Images that lie directly in the folder."""
        return relative_images(self.folder, self.endings, deep=False)

    def images(self, name: str = '') -> list[str]:
        """Images below the folder or one of its classes, relative to it."""
        place = f'{self.folder}/{name}' if name else self.folder
        return relative_images(place, self.endings)


class RemoteTree:
    """A folder in a storage that one of mmengine's back-ends reads."""

    def __init__(self, folder: str, endings: Sequence[str]):
        self.folder = folder
        self.endings = tuple(endings)
        self.backend: Any = fileio.get_file_backend(
            folder, enable_singleton=True)

    def classes(self) -> list[str]:
        return sorted(filter(is_visible, self.backend.list_dir_or_file(
            self.folder, list_dir=True, list_file=False, recursive=False)))

    def direct_images(self) -> list[str]:
        return self._files(self.folder, deep=False)

    def images(self, name: str = '') -> list[str]:
        return self._files(
            self.backend.join_path(self.folder, name) if name else self.folder,
            deep=True)

    def _files(self, folder: str, deep: bool) -> list[str]:
        found = self.backend.list_dir_or_file(
            folder, list_dir=False, list_file=True, recursive=deep)
        return sorted(path for path in found if is_visible(path)
                      and path.lower().endswith(self.endings))
