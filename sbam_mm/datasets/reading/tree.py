# Copyright (c) OpenMMLab. All rights reserved.
"""Which folders are classes and which files are images: one rule for all.

Desktops, notebooks, version control and file servers leave folders and files
of their own among the images, which are neither.
"""
import logging
import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

import mmengine.fileio as fileio
from mmengine.logging import print_log

ENDINGS = ('.jpg', '.jpeg', '.png', '.webp', '.ppm', '.bmp', '.pgm', '.tif',
           '.tiff', '.gif')
# Besides all names that begin with a dot; in lower case.
_SYSTEM = frozenset((
    '__macosx', '__pycache__', 'lost+found', 'system volume information',
    '$recycle.bin', 'recycler', '#recycle', '#snapshot', '@eadir',
    '@recycle', '@recently-snapshot', '@tmp', '~snapshot',
    'network trash folder', 'temporary items', 'thumbs.db', 'ehthumbs.db',
    'desktop.ini', 'found.000'))


def is_system_name(name: str) -> bool:
    """Whether a file or folder is hidden, or a system's own.

    Example:
        >>> [is_system_name(n) for n in ('.git', '._x.jpg', '@eaDir', 'cat')]
        [True, True, True, False]
    """
    return name.startswith('.') or name.lower() in _SYSTEM


def is_visible(path: str) -> bool:
    """Whether no part of a relative path is a system's own."""
    return not any(map(is_system_name, path.split('/')))


def printable(path: str | Path) -> str:
    r"""A path as it can be printed, also if it is not UTF-8.

    Example:
        >>> printable('caf\udce9.jpg')
        'caf\\xe9.jpg'
    """
    return os.fsencode(path).decode('utf-8', 'backslashreplace')


def path_bytes(text: str) -> bytes:
    """Text with paths in it as bytes, which :func:`path_text` reads."""
    return text.encode('utf-8', 'surrogateescape')


def path_text(content: bytes) -> str:
    """What :func:`path_bytes` wrote."""
    return content.decode('utf-8', 'surrogateescape')


def class_folders(folder: str | Path) -> list[str]:
    """Sorted names of a folder's class folders; [] if it is missing."""
    if not os.path.isdir(folder):
        return []
    return sorted(
        entry.name for entry in _entries(str(folder), [])
        if _is_folder(entry) and not _leads_back(entry, str(folder)))


def relative_images(folder: str | Path,
                    endings: Sequence[str] = ENDINGS,
                    deep: bool = True) -> list[str]:
    """Images below a folder, as sorted paths relative to it.

    Symbolic links are followed, but not to a folder that they lie in. What
    cannot be entered, and what has an image's name but is no file (a pipe, a
    socket), is logged once.

    Args:
        endings (Sequence[str]): Of file names, in lower case.
        deep (bool): Look into the folders below.
    """
    skipped: list[str] = []
    found = sorted(
        _walk(str(folder), '', tuple(endings), deep,
              [os.path.realpath(folder)], skipped))
    if skipped:
        more = f', and {len(skipped) - 1} more' if len(skipped) > 1 else ''
        print_log(
            f'Skipped what is no readable file or folder: {skipped[0]}{more}',
            logger='current',
            level=logging.WARNING)
    return found


def image_files(folder: str | Path,
                endings: Sequence[str] = ENDINGS,
                deep: bool = True) -> list[Path]:
    """As :func:`relative_images`, with the folder; sorted folder by folder."""
    return sorted(
        Path(folder, path)
        for path in relative_images(folder, endings, deep))


def read_regular_file(path: str, backend_args: dict | None = None) -> bytes:
    """The content of an image file; a pipe is refused, not waited for.

    Raises:
        OSError: It is missing, no regular file, or may not be read.
    """
    backend = (backend_args or {}).get('backend', 'local')
    if backend == 'local' and '://' not in path and not stat.S_ISREG(
            os.stat(path).st_mode):
        raise OSError('no regular file')
    return fileio.get(path, backend_args=backend_args)


def _walk(folder: str, prefix: str, endings: tuple[str, ...], deep: bool,
          above: list[str], skipped: list[str]) -> Iterator[str]:
    for entry in _entries(folder, skipped):
        path = prefix + entry.name
        if _is_folder(entry):
            if not deep:
                continue
            real = os.path.realpath(entry.path)
            if entry.is_symlink() and any(_is_in(part, real)
                                          for part in above):
                skipped.append(f'{printable(entry.path)} (a link to a folder '
                               'that it lies in)')
                continue
            yield from _walk(entry.path, f'{path}/', endings, deep,
                             [*above, real], skipped)
        elif entry.name.lower().endswith(endings):
            # A link to nothing is a file that cannot be read.
            if '\n' in path or not (_is_file(entry) or entry.is_symlink()):
                skipped.append(printable(entry.path))
            else:
                yield path


def _entries(folder: str, skipped: list[str]) -> list[os.DirEntry]:
    try:
        with os.scandir(folder) as entries:
            return [i for i in entries if not is_system_name(i.name)]
    except OSError as error:
        skipped.append(f'{printable(folder)} ({error.strerror})')
        return []


def _is_folder(entry: os.DirEntry) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def _is_file(entry: os.DirEntry) -> bool:
    try:
        return entry.is_file()
    except OSError:
        return False


def _leads_back(entry: os.DirEntry, folder: str) -> bool:
    return entry.is_symlink() and _is_in(
        os.path.realpath(folder), os.path.realpath(entry.path))


def _is_in(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip('/') + '/')
