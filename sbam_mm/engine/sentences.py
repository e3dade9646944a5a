# Copyright (c) OpenMMLab. All rights reserved.
"""A run that stops for what the user can correct ends with a sentence."""
import json
import re
import sys
from contextlib import contextmanager
from traceback import walk_tb
from types import FrameType
from typing import Any, Iterator, Optional

PACKAGE = 'sbam_mm'


def sentence_of(error: BaseException) -> Optional[str]:
    """What the user is told instead of a traceback.

    Our own code raises ``ValueError`` with a sentence, also within a process
    that loads images. A missing file and an incomplete annotation file are
    named, and so is the place of a data set without samples, which mmengine
    fails to store.

    Args:
        error (BaseException): As it was caught.

    Returns:
        str or None: None of an error that nobody foresaw; its traceback says
        more.

    Example:
        >>> try:
        ...     open('/nowhere/000000000009.jpg')
        ... except OSError as error:
        ...     print(sentence_of(error))
        the file /nowhere/000000000009.jpg does not exist; copy the data \
again, or correct the path.
    """
    message = str(error)
    if isinstance(error, FileNotFoundError):
        found = re.search("No such file or directory: '(.+)'", message)
        return found and (f'the file {found[1]} does not exist; copy the data '
                          'again, or correct the path.')
    if not isinstance(error, ValueError):
        return None
    frames = [frame for frame, _ in walk_tb(error.__traceback__)]
    for frame in frames:
        if frame.f_code.co_name == '_serialize_data':
            return no_sample(frame.f_locals['self'])
        if frame.f_code.co_name == 'load_data_list' and isinstance(
                error, json.JSONDecodeError):
            return (f'{frame.f_locals["self"].ann_file} is no complete JSON '
                    'file; copy it again.')
    if frames and module_of(frames[-1]) == PACKAGE:
        return message
    # What a worker raised is the text of its traceback.
    files = re.findall(r'\n *File "(.+?)"', message)
    if files and f'/{PACKAGE}/' in files[-1] and 'ValueError: ' in message:
        return message.rsplit('ValueError: ', 1)[1].strip()
    return None


def module_of(frame: FrameType) -> str:
    """The package that a frame's code belongs to."""
    return frame.f_globals.get('__name__', '').split('.')[0]


def no_sample(dataset: Any) -> str:
    """Of a data set whose list is empty."""
    source = getattr(dataset, 'ann_file', '') or ', '.join(
        map(str, getattr(dataset, 'data_prefix', {}).values()))
    return (f'{type(dataset).__name__} finds no sample in {source}: the '
            'folder or annotation file is empty, none of its classes is one '
            "of the data set's metainfo, or filter_cfg drops every image "
            '(images without boxes).')


@contextmanager
def one_sentence() -> Iterator[None]:
    """End the program with :func:`sentence_of` an error, if it has one.

    Raises:
        SystemExit: With status 2, the sentence on standard error.

    Example::

        with one_sentence():
            runner.train()
    """
    try:
        yield
    except (ValueError, OSError) as error:
        sentence = sentence_of(error)
        if sentence is None:
            raise
        print(f'error: {sentence}', file=sys.stderr, flush=True)
        sys.exit(2)
