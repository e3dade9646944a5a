# Copyright (c) OpenMMLab. All rights reserved.
"""Results as a JSON file and, beside it, a table for people."""
import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from sbam_mm.files import write_atomically


def markdown_table(header: Sequence[str],
                   rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown, columns aligned: the first left, the rest right.

    Args:
        header (Sequence[str]): Above the columns.
        rows (Iterable[Sequence[str]]): Texts, as many as in the header.

    Returns:
        str: Lines that end with a line feed.

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
    """Numbers as JSON has them: None in place of "not a number".

    Example:
        >>> no_nan({'a': [1., float('nan')]})
        {'a': [1.0, None]}
    """
    if isinstance(value, dict):
        return {key: no_nan(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [no_nan(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def result_files(out: str | Path, *endings: str) -> list[Path]:
    """Names of result files that lie side by side.

    Args:
        out (str or Path): One of them, a picture beside them (.png), or
            their common name.
        *endings (str): E.g. ".json".

    Returns:
        list[Path]: One per ending.

    Example:
        >>> [str(path) for path in result_files('a/b.md', '.json', '.md')]
        ['a/b.json', 'a/b.md']
    """
    path = Path(out)
    if path.suffix.lower() in ('.json', '.md', '.png'):
        path = path.with_suffix('')
    return [path.with_name(path.name + ending) for ending in endings]


def write_results(out: str | Path, results: dict,
                  page: str) -> list[Path]:
    """Write ``results`` as JSON and ``page`` as Markdown.

    Args:
        out (str or Path): As for :func:`result_files`.
        results (dict): What JSON can hold; "not a number" becomes null.
        page (str): For people.

    Returns:
        list[Path]: The two files, complete or not there.
    """
    data, text = result_files(out, '.json', '.md')
    content = json.dumps(no_nan(results), indent=1, ensure_ascii=False)
    write_atomically(data, f'{content}\n'.encode())
    write_atomically(text, page.encode())
    return [data, text]
