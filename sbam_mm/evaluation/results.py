# Copyright (c) OpenMMLab. All rights reserved.
"""Results as a JSON file and, beside it, a page for people."""
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from sbam_mm.errors import UserError
from sbam_mm.files import read_json, write_atomically

# What must not change between two calls that write to one folder.
IDENTITY = ('checkpoint', 'data', 'encoder', 'seed')
# Settings of which a protocol says itself what came of them.
USED = ('batch', 'epochs', 'config')
# What is known of a protocol at least.
ENTRY = dict(settings=dict, top1=dict, versions=dict, seconds=float)


class ResultStore:
    """Results by protocol, in ``results.json`` and ``results.md``.

    The ``facts`` are ``checkpoint``, ``data``, ``encoder`` and ``seed``, as
    JSON can hold them; a folder with results of others is an error.
    """

    def __init__(self, folder: str | Path, facts: Mapping[str, Any]):
        self.path = Path(folder) / 'results.json'
        self.content: dict[str, Any] = dict(_plain(facts), protocols={})
        if not self.path.is_file():
            return
        known = read_json(self.path, protocols=dict)
        for name, one in known['protocols'].items():
            if not (isinstance(one, dict) and ENTRY.items() <= {
                    key: type(value) for key, value in one.items()}.items()):
                raise UserError(
                    f'{self.path} is damaged (what it says of {name}); '
                    'delete it, or give another --out.')
        for key in IDENTITY:
            if known.get(key) != self.content[key]:
                raise UserError(
                    f'{self.path} has results of another {key}; give another '
                    '--out.')
        self.content['protocols'] = known['protocols']

    def has(self, protocol: str, settings: Mapping[str, Any]) -> bool:
        """Whether a protocol is finished; an error with other settings."""
        known = self.content['protocols'].get(protocol)
        if known is None:
            return False
        wanted = _plain(settings)
        # Earlier files have as settings what was asked for.
        before = dict(known.get('asked', known['settings']))
        if 'amp' in wanted:
            # Earlier files do not say it.
            before.setdefault('amp', False)
        if before != wanted:
            changed = [key for key in wanted
                       if before.get(key) != wanted[key]]
            raise UserError(
                f'{self.path} has results of {protocol} with other settings '
                f'({", ".join(changed)}); add --force to replace them, or '
                'give another --out.')
        return True

    def add(self, protocol: str, settings: Mapping[str, Any],
            found: Mapping[str, Any], versions: Mapping[str, str],
            seconds: float) -> list[Path]:
        """Put a finished protocol into both files.

        What was ``found`` has ``top1`` (per cent by name), perhaps a ``note``
        for the reader; its ``batch``, ``epochs`` and ``config`` are what it
        was run with and written as settings.
        """
        used = {
            name: found.get(name, value) if name in USED else value
            for name, value in settings.items()
        }
        self.content['protocols'][protocol] = _plain(
            dict(settings=used, asked=settings, **found, versions=versions,
                 seconds=round(seconds, 1)))
        return write_results(self.path, self.content, self.page())

    def page(self) -> str:
        """The results for people, in Markdown."""
        protocols = self.content['protocols']
        rows = []
        for name, one in protocols.items():
            if 'best' in one:
                rows.append([name, f'best of {len(one["top1"])}: '
                             f'{one["best"]}', _number(one['top1'][one[
                                 'best']]), f'{one["seconds"]:.0f}'])
                continue
            rows += [[name, label, _number(value), f'{one["seconds"]:.0f}']
                     for label, value in one['top1'].items()]
        facts = ''.join(
            f'- {key}: {_line(self.content[key])}\n' for key in IDENTITY)
        detail = ''.join(
            f'- {name}: {_line(one["settings"])}; {_line(one["versions"])}\n'
            for name, one in protocols.items())
        notes = ''.join(f'\n{name}: {one["note"]}\n'
                        for name, one in protocols.items() if 'note' in one)
        return (f'# Evaluation\n\n{facts}\n' + markdown_table(
            ['protocol', 'what', 'top-1 [%]', 'seconds'], rows) +
                f'\nThe best of several classifiers is chosen on the test '
                f'images, as DINO and iBOT do.\n{notes}\n{detail}')


def _number(value: Any) -> str:
    return '–' if value is None else f'{value:.2f}'


def _line(value: Any) -> str:
    if isinstance(value, dict):
        return ', '.join(f'{key} {_line(item)}'
                         for key, item in value.items())
    return str(value)


def _plain(value: Any) -> Any:
    """As JSON gives it back."""
    return json.loads(json.dumps(value, default=str))


def markdown_table(header: Sequence[str],
                   rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown, columns aligned: the first left, the rest right.

    Example:
        >>> print(markdown_table(['a', 'n'], [['x', '1']]), end='')
        | a | n |
        |:--|--:|
        | x | 1 |
    """
    lines = [list(header), *map(list, rows)]
    widths = [max(map(len, column)) for column in zip(*lines)]

    def line(cells: list[str]) -> str:
        padded = [cells[0].ljust(widths[0])] + [
            cell.rjust(width) for cell, width in zip(cells[1:], widths[1:])
        ]
        return f'| {" | ".join(padded)} |\n'

    rule = [':' + '-' * (widths[0] + 1)] + [
        '-' * (width + 1) + ':' for width in widths[1:]
    ]
    return ''.join([line(lines[0]), f'|{"|".join(rule)}|\n',
                    *map(line, lines[1:])])


def plus_minus(mean: float, error: float, digits: int = 3) -> str:
    """A mean with its standard error; a dash where there is none.

    Example:
        >>> plus_minus(.5, .0123), plus_minus(float('nan'), 0.)
        ('0.500 ± 0.012', '–')
    """
    if math.isnan(mean):
        return '–'
    text = f'{mean:.{digits}f}'
    return text if math.isnan(error) else f'{text} ± {error:.{digits}f}'


def no_nan(value: Any) -> Any:
    """Numbers as JSON has them: None in place of NaN."""
    if isinstance(value, dict):
        return {key: no_nan(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [no_nan(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def result_files(out: str | Path, *endings: str) -> list[Path]:
    """Names of result files that lie side by side.

    ``out`` is one of them, a picture beside them (.png), or their common name.

    Example:
        >>> [str(path) for path in result_files('a/b.md', '.json', '.md')]
        ['a/b.json', 'a/b.md']
    """
    path = Path(out)
    if path.suffix.lower() in ('.json', '.md', '.png'):
        path = path.with_suffix('')
    return [path.with_name(path.name + ending) for ending in endings]


def write_results(out: str | Path, results: dict,
                  page: str | None) -> list[Path]:
    """Write ``results`` as JSON (NaN as null) and ``page`` as Markdown.

    Without a page the one that is there is left alone.
    """
    data, text = result_files(out, '.json', '.md')
    content = json.dumps(no_nan(results), indent=1, ensure_ascii=False)
    write_atomically(data, f'{content}\n'.encode())
    if page is None:
        return [data]
    write_atomically(text, page.encode())
    return [data, text]
