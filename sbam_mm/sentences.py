# Copyright (c) OpenMMLab. All rights reserved.
"""What a user is told instead of a traceback: one sentence per error."""
import dis
import errno
import inspect
import json
import os
import re
from collections.abc import Iterable
from difflib import get_close_matches
from traceback import walk_tb
from types import FrameType
from typing import Any

PACKAGE = 'sbam_mm'
# Where code lies whose messages are not for the user of a tool.
LIBRARIES = (os.sep + 'site-packages' + os.sep,
             os.path.dirname(os.__file__) + os.sep, '<frozen')
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

    What this package says itself is passed on, also from a process that
    loads images. Files that cannot be used are named, and so are names and
    options of a config that nothing knows, with the nearest that is known.

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
        /nowhere/000000000009.jpg does not exist; check the path, or copy \
the data again.
    """
    frames = [frame for frame, _ in walk_tb(error.__traceback__)]
    for said in (_of_worker(error), _of_data(error, frames),
                 _of_file(error), _of_array(error, frames), _of_memory(error),
                 _of_call(error, frames)):
        if said:
            return said
    # Before what our own parts say while they are built from a config:
    # those are sentences already.
    if _is_ours(error, frames):
        return str(error)
    return _of_config(error, frames)


def _is_ours(error: BaseException, frames: list[FrameType]) -> bool:
    """Whether this package, a tool or a user's own module wrote it."""
    if type(error).__module__.split('.')[0] == PACKAGE:
        return True
    if not isinstance(error, (ValueError, FloatingPointError, ImportError,
                              OSError)) or not frames:
        return False
    where = frames[-1].f_code.co_filename
    return _is_raised(error) and not any(
        folder in where for folder in LIBRARIES)


def _is_raised(error: BaseException) -> bool:
    """Whether somebody wrote `raise`; else Python itself complains."""
    last = error.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    return last is not None and dis.opname[
        last.tb_frame.f_code.co_code[last.tb_lasti]] == 'RAISE_VARARGS'


def _of_worker(error: BaseException) -> str | None:
    """What a process that loads data raised is the text of its traceback."""
    message = str(error)
    files = re.findall(r'\n *File "(.+?)"', message)
    if 'Original Traceback' not in message or not files:
        return None
    last = re.search(r'\n(?:[\w.]+\.)?(\w+): (?!.*\n\w+: )(.+)\Z',
                     message.strip(), re.DOTALL)
    if not last:
        return None
    kind, said = last[1], last[2].strip()
    if f'/{PACKAGE}/' in files[-1] and kind != 'JSONDecodeError':
        return said
    found = re.search(r"\[Errno (\d+)\] [^:]+: '(.+)'", said)
    return _about_file(int(found[1]), found[2]) if found else None


def _of_data(error: BaseException, frames: list[FrameType]) -> str | None:
    """Annotation files and data sets that mmengine cannot take."""
    for frame in frames:
        if frame.f_code.co_name == '_serialize_data' and isinstance(
                error, ValueError):
            return no_sample(frame.f_locals['self'])
        if frame.f_code.co_name == 'load_data_list' and isinstance(
                error, json.JSONDecodeError):
            return (f'{frame.f_locals["self"].ann_file} is no complete JSON '
                    'file; copy it again.')
    return None


def _of_file(error: BaseException) -> str | None:
    if not isinstance(error, OSError) or error.errno is None:
        return None
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        place = f' for {_path(error)}' if error.filename else ''
        return (f'there is no space left{place}; free some, or choose '
                'another place, and call again.')
    if error.filename is None:
        return None
    return _about_file(error.errno, _path(error))


def _of_array(error: BaseException,
              frames: list[FrameType]) -> str | None:
    """A ``.npy`` file that is none, or holds objects."""
    reads = [frame.f_locals.get('file') for frame in frames
             if frame.f_code.co_name == 'load'
             and 'numpy' in frame.f_code.co_filename]
    if not reads or not isinstance(error, (ValueError, EOFError)):
        return None
    name = reads[-1] if isinstance(reads[-1], (str, os.PathLike)) else getattr(
        reads[-1], 'name', 'an array')
    if 'pickle' in str(error):
        return (f'{name} is no array of numbers, and could run code if it '
                'were read as something else; delete it, so that it is made '
                'again.')
    return f'{name} is damaged; delete it, so that it is made again.'


def _path(error: OSError) -> str:
    return os.fsdecode(error.filename) if isinstance(
        error.filename, (str, bytes)) else str(error.filename)


def _about_file(number: int, path: str) -> str:
    said = TROUBLE.get(number, f'cannot be used ({os.strerror(number)}); '
                       'check it')
    return f'{path} {said}.'


def _of_memory(error: BaseException) -> str | None:
    message = str(error)
    if isinstance(error, MemoryError) or "can't allocate memory" in message:
        where = 'memory of this machine'
    elif type(error).__name__ == 'OutOfMemoryError':
        where = 'memory of the accelerator'
    else:
        return None
    return (f'the {where} is not enough; lower train_dataloader.batch_size '
            '(and raise optim_wrapper.accumulative_counts), or --batch-size.')


def _of_call(error: BaseException, frames: list[FrameType]) -> str | None:
    """An option of the config that mmengine handed on to what has it not."""
    option = re.search(r"([\w.]+)\(\) got an unexpected keyword argument "
                       r"'(\w+)'", str(error))
    if not (isinstance(error, TypeError) and option and frames
            and 'mmengine' in frames[-1].f_code.co_filename):
        return None
    name = option[1].removesuffix('.__init__')
    values = {**frames[-1].f_globals, **frames[-1].f_locals}
    made = values.get('obj_cls') or values.get(name.split('.')[0])
    if made is None or isinstance(made, dict):
        return (f'{name} in the config has no option {option[2]!r}; correct '
                'or remove it.')
    return unknown_option(getattr(made, '__name__', name), option[2], made)


def _of_config(error: BaseException,
               frames: list[FrameType]) -> str | None:
    """An error in building what a config describes."""
    built = [frame for frame in frames
             if frame.f_code.co_name.startswith('build_')
             and {'registry', 'cfg'} <= frame.f_locals.keys()]
    if not built:
        return None
    values = built[-1].f_locals
    wanted = values.get('obj_type')
    if 'obj_cls' not in values or values['obj_cls'] is None:
        if isinstance(error, KeyError) and isinstance(wanted, str):
            return unknown_name(wanted, values['registry'])
        if isinstance(error, KeyError):
            return ('a part of the config has no type '
                    f'({_short(values["cfg"])}); add type=... to it.')
        return None
    made, message = values['obj_cls'], str(error)
    name = getattr(made, '__name__', str(made))
    option = re.search(r"unexpected keyword argument '(\w+)'", message)
    if option:
        return unknown_option(name, option[1], made)
    lacking = re.search(r'missing \d+ required .*?arguments?: (.+)', message)
    if lacking:
        return (f'{name} in the config lacks {lacking[1]}; add what is '
                'missing.')
    own = [frame for frame in frames if frame.f_code.co_name == '__init__']
    if not own:
        return None
    reason = (message.splitlines() or [''])[0]
    return (f'{name} cannot be built from {_short(values["args"])} '
            f'({type(error).__name__}: {reason}); correct these options in '
            'the config.')


def unknown_name(wanted: str, registry: Any) -> str:
    """The sentence for a type that a registry does not have.

    Args:
        wanted (str): As the config says it, maybe with a scope.
        registry (Registry): Where it was looked up.
    """
    scope, _, name = wanted.rpartition('.')
    known = _names(registry, scope)
    near = get_close_matches(name, known, 1, 0.6)
    if not near:  # the same with other capitals or underscores
        plain = {re.sub(r'\W|_', '', one).lower(): one for one in known}
        near = get_close_matches(
            re.sub(r'\W|_', '', name).lower(), plain, 1, 0.6)
        near = [plain[one] for one in near]
    prefix = f'{scope}.' if scope else ''
    hint = (f'did you mean {prefix}{near[0]!s}?' if near else
            'check its spelling, and whether custom_imports names its '
            'module.')
    return (f'the config asks for the {registry.name} {wanted!r}, which is '
            f'not known; {hint}')


def _names(registry: Any, scope: str) -> list[str]:
    """What can be named: in one scope, or here and above."""
    names: list[str] = []
    root = registry
    while True:
        if not scope or root.scope == scope:
            names += root.module_dict
        if root.parent is None:
            break
        root = root.parent
    todo = list(root.children.values()) if scope else []
    while todo:
        child = todo.pop()
        todo += child.children.values()
        if child.scope == scope:
            names += child.module_dict
    return list(dict.fromkeys(names))


def unknown_option(name: str, option: str, made: Any) -> str:
    """The sentence for an option that a class does not take.

    Args:
        name (str): What to call the class.
        option (str): As the config says it.
        made (type or Callable): The class.
    """
    known = list(options_of(made))
    near = get_close_matches(option, known, 1, 0.6)
    hint = (f'did you mean {near[0]!r}?' if near else
            f'its options are {", ".join(known)}.' if known else
            'remove it.')
    return f'{name} in the config has no option {option!r}; {hint}'


def options_of(made: Any) -> Iterable[str]:
    """The options that a class takes, those handed on to its bases included.

    Args:
        made (type or Callable): What a config builds.
    """
    parts = [vars(kind)['__init__'] for kind in made.__mro__
             if '__init__' in vars(kind)] if inspect.isclass(made) else [made]
    found: dict = {}
    for part in parts:
        try:
            parameters = inspect.signature(part).parameters.values()
        except (TypeError, ValueError):
            break
        for one in parameters:
            if one.name != 'self' and one.kind in (one.POSITIONAL_OR_KEYWORD,
                                                   one.KEYWORD_ONLY):
                found[one.name] = None
        if not any(one.kind is one.VAR_KEYWORD for one in parameters):
            break
    return found


def _short(value: Any) -> str:
    text = re.sub(r'\s+', ' ', str(value))
    return text if len(text) <= 120 else f'{text[:117]}...'


def no_sample(dataset: Any) -> str:
    """Of a data set whose list is empty."""
    source = getattr(dataset, 'ann_file', '') or ', '.join(
        map(str, getattr(dataset, 'data_prefix', {}).values()))
    return (f'{type(dataset).__name__} finds no sample in {source}: the '
            'folder or annotation file is empty, none of its classes is one '
            "of the data set's metainfo, or filter_cfg drops every image "
            '(images without boxes).')
