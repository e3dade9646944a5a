# Copyright (c) OpenMMLab. All rights reserved.
"""What a user is told instead of a traceback: one sentence per error."""
import errno
import inspect
import json
import os
import re
from collections.abc import Iterator
from difflib import get_close_matches
from traceback import walk_tb
from typing import Any

from sbam_mm.errors import UserError

# What the operating system says, and what to do about it.
TROUBLE = {
    errno.ENOENT: 'does not exist; check the path, or copy the data again',
    errno.EACCES: 'may not be read or written by you; change its '
    'permissions, or choose another place',
    errno.EPERM: 'may not be changed by you; choose another place',
    errno.EROFS: 'is on a read-only file system; choose another place',
    errno.ENOTDIR: 'lies below something that is a file; choose another '
    'place',
    errno.EISDIR: 'is a folder where a file is wanted; name a file',
    errno.EEXIST: 'is there already, as something else; choose another place',
    errno.ENAMETOOLONG: 'has too long a name; shorten it',
    errno.ELOOP: 'is a symbolic link that leads to itself; remove it',
    errno.EINVAL: 'cannot be opened or written as asked; check its name',
    errno.EIO: 'cannot be read from or written to its disk; check the disk',
    errno.EMFILE: 'cannot be opened, because this process has too many open '
    'files; raise `ulimit -n`',
}


def sentence_of(error: BaseException) -> str | None:
    """The sentence for an error that the user can do something about.

    A :class:`UserError` has its own, also if it comes from a process that
    loads images. Files that cannot be used are named, and so are names and
    options of a config that nothing knows, with the nearest that is known.

    Returns:
        str or None: None of an error that nobody foresaw.

    Example:
        >>> try:
        ...     open('/nowhere/000000000009.jpg')
        ... except OSError as error:
        ...     print(sentence_of(error))
        /nowhere/000000000009.jpg does not exist; check the path, or copy \
the data again.
    """
    if isinstance(error, UserError):
        # Of another process, torch hands on the text of the traceback.
        return re.split(r'\n(?:\w+\.)+\w+: ', str(error).strip())[-1]
    # Those of Python name the module.
    if isinstance(error, ImportError) and error.name is None:
        return str(error)
    return (_of_file(error) or _of_memory(error) or _of_data(error)
            or _of_call(error) or _of_config(error))


def _of_file(error: BaseException) -> str | None:
    if not isinstance(error, OSError):
        return None
    number, path = error.errno, error.filename
    if number == errno.EISDIR and error.filename2:
        path = error.filename2  # what a finished file was to replace
    if number is None:  # of another process
        found = re.findall(r"\[Errno (\d+)\] [^:]+: '(.+)'", str(error))
        if not found:
            return None
        number, path = int(found[-1][0]), found[-1][1]
    path = os.fsdecode(path) if isinstance(path, bytes) else path
    if number in (errno.ENOSPC, errno.EDQUOT):
        place = f' for {path}' if path else ''
        return (f'there is no space left{place}; free some, or choose '
                'another place, and call again.')
    if path is None:
        return None
    said = TROUBLE.get(number, f'cannot be used ({os.strerror(number)}); '
                       'check it')
    return f'{path} {said}.'


def _of_memory(error: BaseException) -> str | None:
    if isinstance(error, MemoryError) or (
            "can't allocate memory" in str(error)):
        where = 'memory of this machine'
    elif type(error).__name__ == 'OutOfMemoryError':
        where = 'memory of the accelerator'
    else:
        return None
    return (f'the {where} is not enough; lower train_dataloader.batch_size '
            '(and raise optim_wrapper.accumulative_counts), or --batch-size.')


def _within(error: BaseException, function: str) -> dict[str, Any]:
    """Variables of the innermost call of a function that an error left.

    What mmengine was doing when it failed it tells nowhere else.
    """
    found = [frame.f_locals for frame, _ in walk_tb(error.__traceback__)
             if frame.f_code.co_name == function]
    return found[-1] if found else {}


def _of_data(error: BaseException) -> str | None:
    """Annotation files and data sets that mmengine cannot take."""
    data = _within(error, 'load_data_list').get('self')
    if data is not None and isinstance(error, json.JSONDecodeError):
        return f'{data.ann_file} is no complete JSON file; copy it again.'
    data = _within(error, '_serialize_data').get('self')
    if data is None or not isinstance(error, ValueError):
        return None
    source = getattr(data, 'ann_file', '') or ', '.join(
        map(str, getattr(data, 'data_prefix', {}).values()))
    return (f'{type(data).__name__} finds no sample in {source}: the folder '
            'or annotation file is empty, none of its classes is one of the '
            "data set's metainfo, or filter_cfg drops every image (images "
            'without boxes).')


def _of_config(error: BaseException) -> str | None:
    """An error in building what a config describes."""
    building = _within(error, 'build_from_cfg')
    if not building:
        return None
    made = building.get('obj_cls')
    if made is None:
        if not isinstance(error, KeyError):
            return None
        wanted = building.get('obj_type')
        if isinstance(wanted, str):
            return unknown_name(wanted, building['registry'])
        return ('a part of the config has no type '
                f'({_short(building["cfg"])}); add type=... to it.')
    message, name = str(error), getattr(made, '__name__', str(made))
    option = re.search(r"unexpected keyword argument '(\w+)'", message)
    if option:
        return unknown_option(name, option[1], made)
    lacking = re.search(r'missing \d+ required .*?arguments?: (.+)', message)
    if lacking:
        return (f'{name} in the config lacks {lacking[1]}; add what is '
                'missing.')
    if not _within(error, '__init__'):
        return None
    reason = (message.splitlines() or [''])[0]
    return (f'{name} cannot be built from {_short(building["args"])} '
            f'({type(error).__name__}: {reason}); correct these options in '
            'the config.')


def _of_call(error: BaseException) -> str | None:
    """An option of the config that mmengine handed on to what has it not."""
    option = re.search(r"([\w.]+)\(\) got an unexpected keyword argument "
                       r"'(\w+)'", str(error))
    if not isinstance(error, TypeError) or not option:
        return None
    *_, (frame, _) = walk_tb(error.__traceback__)
    if 'mmengine' not in frame.f_code.co_filename:
        return None
    name = option[1].removesuffix('.__init__')
    made = frame.f_locals.get('obj_cls') or frame.f_globals.get(name)
    return unknown_option(getattr(made, '__name__', name), option[2], made)


def unknown_name(wanted: str, registry: Any) -> str:
    """The sentence for a type, maybe with a scope, that is not registered."""
    scope, _, name = wanted.rpartition('.')
    # Other capitals and underscores are the nearest mistake.
    known = {_plain(one.rpartition('.')[2]): one
             for one in _names(registry, scope)}
    near = get_close_matches(_plain(name), known, 1, 0.6)
    hint = (f'did you mean {known[near[0]]}?' if near else
            'check its spelling, and whether custom_imports names its '
            'module.')
    return (f'the config asks for the {registry.name} {wanted!r}, which is '
            f'not known; {hint}')


def _plain(name: str) -> str:
    return name.replace('_', '').lower()


def _names(registry: Any, scope: str) -> Iterator[str]:
    """What can be named: in one scope; without one, everywhere."""
    above = [registry]
    while above[-1].parent is not None:
        above.append(above[-1].parent)
    todo = above[-1:]
    while todo:
        one = todo.pop()
        todo += one.children.values()
        if scope in ('', one.scope):
            yield from (f'{one.scope}.{name}' for name in one.module_dict)
    # Last: these need no scope in front of them.
    if not scope:
        yield from (name for one in above for name in one.module_dict)


def unknown_option(name: str, option: str, made: Any) -> str:
    """The sentence for an option that a class, if known, does not take."""
    known = list(options_of(made))
    near = get_close_matches(option, known, 1, 0.6)
    hint = (f'did you mean {near[0]!r}?' if near else
            f'its options are {", ".join(known)}.' if known else
            'remove it.')
    return f'{name} in the config has no option {option!r}; {hint}'


def options_of(made: Any) -> dict[str, inspect.Parameter]:
    """The options of what a config builds, and those handed on to bases.

    What a class hands on to another than its base it says in
    ``takes_options_of``.
    """
    if made is None:
        return {}
    parts = [vars(kind)['__init__'] for kind in made.__mro__
             if '__init__' in vars(kind)] if inspect.isclass(made) else [made]
    found: dict[str, inspect.Parameter] = {}
    for part in parts:
        try:
            parameters = inspect.signature(part).parameters.values()
        except (TypeError, ValueError):
            break
        for one in parameters:
            if one.name != 'self' and one.kind in (one.POSITIONAL_OR_KEYWORD,
                                                   one.KEYWORD_ONLY):
                found.setdefault(one.name, one)
        if not any(one.kind is one.VAR_KEYWORD for one in parameters):
            break
    other = getattr(made, 'takes_options_of', None)
    return {**found, **options_of(other), **found} if other else found


def _short(value: Any) -> str:
    text = re.sub(r'\s+', ' ', str(value))
    return text if len(text) <= 120 else f'{text[:117]}...'
