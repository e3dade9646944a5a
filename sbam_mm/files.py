# Copyright (c) OpenMMLab. All rights reserved.
"""Files that are either complete or not there."""
import os
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator, Union


@contextmanager
def replacing(path: Union[str, Path]) -> Iterator[str]:
    """A name to write to, which becomes ``path`` when all went well.

    Args:
        path (str or Path): Missing folders are made.

    Yields:
        str: A temporary file in the same folder.

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
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise


def write_atomically(path: Union[str, Path], content: bytes) -> None:
    """Write a file that is either complete or not there.

    Args:
        path (str or Path): Missing folders are made.
        content (bytes): All of it.
    """
    with replacing(path) as name:
        Path(name).write_bytes(content)
