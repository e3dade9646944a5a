# Copyright (c) OpenMMLab. All rights reserved.
"""Files that are either complete or absent."""
import errno
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from sbam_mm.errors import UserError


@contextmanager
def replacing(path: str | Path) -> Iterator[str]:
    """A temporary name to write to, which becomes ``path`` on success.

    Missing folders are made.

    Example::

        with replacing('weights.pth') as name:
            torch.save(state, name)
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f'.{path.name}.')
    os.close(handle)
    try:
        yield name
        # mkstemp makes files that only their owner reads.
        os.chmod(name, 0o644)
        put_in_place(name, path)
    except BaseException:
        if os.path.exists(name):
            os.unlink(name)
        raise


@contextmanager
def new_folder(path: str | Path) -> Iterator[Path]:
    """A temporary folder to fill, which becomes ``path`` on success.

    Raises:
        UserError: If something is there already, but for an empty folder.
    """
    path = Path(path)
    check_new(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=path.parent, prefix=f'.{path.name}.'))
    try:
        yield folder
        folder.chmod(0o755)
        check_new(path)
        put_in_place(folder, path)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def check_new(folder: Path) -> None:
    """Stop where a folder would replace something."""
    if folder.is_symlink() or folder.is_file() or (
            folder.is_dir() and any(folder.iterdir())):
        raise UserError(f'{folder} exists already and would be replaced; '
                        'give the name of a new folder.')


def put_in_place(finished: str | Path, path: str | Path) -> None:
    """Rename a finished file or folder of files, once flushed to the disk.

    Without the flush, a power cut after the renaming may leave an empty file
    under the new name. ``path`` is in the same folder.
    """
    finished, path = Path(finished), Path(path)
    files = finished.rglob('*') if finished.is_dir() else [finished]
    for file in files:
        if file.is_file():
            _flush(file)
    if finished.is_dir() and path.is_dir():
        shutil.rmtree(path)  # os.replace wants an empty folder
    os.replace(finished, path)
    _flush(path.parent)


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        # Some network file systems cannot, and say so.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(handle)


def new_array(path: str | Path, dtype: Any,
              shape: tuple[int, ...]) -> np.ndarray:
    """A ``.npy`` file of zeros, mapped into memory, fully allocated.

    Writing to a map of a file with holes ends the process with SIGBUS when
    the disk is full; here an OSError comes before anything is computed.
    """
    array = np.lib.format.open_memmap(path, 'w+', dtype, shape)
    with open(path, 'r+b') as file:
        size = os.path.getsize(path)
        try:
            os.posix_fallocate(file.fileno(), 0, size)
        except OSError as error:
            # File systems that cannot reserve are used as they are.
            if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EBADF):
                raise OSError(error.errno, os.strerror(error.errno or 0),
                              str(path)) from error
    return array


def write_atomically(path: str | Path, content: bytes) -> None:
    """Write a file that is either complete or absent, making its folders."""
    with replacing(path) as name:
        Path(name).write_bytes(content)


def write_json(path: str | Path, content: Any) -> None:
    """A JSON file, complete or absent."""
    write_atomically(path, f'{json.dumps(content, indent=1)}\n'.encode())


def read_json(path: str | Path, **kinds: Any) -> dict[str, Any]:
    """A JSON object that one of the tools has written.

    Args:
        path (str or Path): An existing file.
        **kinds (type or tuple[type]): What must be in it, and of what type.

    Raises:
        UserError: If it is damaged or of another shape, naming the file.
    """
    try:
        content = json.loads(Path(path).read_text(encoding='utf-8'))
    except (ValueError, RecursionError) as error:
        raise UserError(f'{path} is damaged (no complete JSON file); copy it '
                        'back, or delete it.') from error
    if not isinstance(content, dict):
        raise UserError(f'{path} is damaged (it holds a '
                        f'{type(content).__name__} instead of an object); '
                        'copy it back, or delete it.')
    for key, kind in kinds.items():
        if not isinstance(content.get(key), kind):
            raise UserError(
                f'{path} is damaged ({key!r} is {content.get(key)!r:.60}); '
                'copy it back, or delete it.')
    return content


def read_array(path: str | Path, mmap_mode: Any = None) -> np.ndarray:
    """A ``.npy`` file of numbers that one of the tools has written."""
    try:
        return np.load(path, mmap_mode)
    except (ValueError, EOFError) as error:
        if 'pickle' in str(error) or 'Object arrays' in str(error):
            raise UserError(
                f'{path} is no array of numbers, and could run code if it '
                'were read as something else; delete it, so that it is made '
                'again.') from error
        raise UserError(f'{path} is damaged; delete it, so that it is made '
                        'again.') from error
