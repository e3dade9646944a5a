#!/usr/bin/env python
# Copyright (c) OpenMMLab. All rights reserved.
"""Write docs/papers.md from the items of docs/papers/*.yml."""
from pathlib import Path

import yaml

FOLDER = Path(__file__).resolve().parent
PAGE = FOLDER.parent / 'papers.md'
VERDICTS = ('same', 'differs', 'not possible')
HEAD = """# The papers, item by item

Every table, figure and ablation of the four papers, and the file or command
that repeats it. "Same" means: as the paper describes it, as far as it says
anything. It does not mean that the recipe was run; where one was, that is
said. Numbers are the papers'.

This page is made by `python docs/papers/make.py` from `docs/papers/*.yml`;
tests compare it with the headers of the configs, and the hyper-parameters of
the configs with the numbers of `tests/paper_numbers/`.
"""


def papers():
    """The content of the files, in the order of the page."""
    contents = [
        yaml.safe_load(path.read_text(encoding='utf-8'))
        for path in sorted(FOLDER.glob('*.yml'))
    ]
    return sorted(contents, key=lambda content: content['order'])


def place(file):
    """From the project's root: what has no folder of its own is a config.

    >>> place('cmae/cmae_vitb_800e.py'), place('tools/pimr.py')
    ('configs/cmae/cmae_vitb_800e.py', 'tools/pimr.py')
    """
    root = file.partition('/')[0]
    outside = root in ('tools', 'docs', 'tests', 'sbam_mm')
    return file if outside else f'configs/{file}'


def cell(text):
    return ' '.join(str(text).split()).replace('|', r'\|')


def line(row):
    """One row of the table."""
    where = [f'[`{file}`](../{place(file)})' for file in row.get('files', ())]
    if 'command' in row:
        where.append(f'`{cell(row["command"])}`')
    verdict = row['verdict']
    if 'because' in row:
        verdict += f': {cell(row["because"])}'
    return (f'| {cell(row["item"])} | {cell(row["what"])} | '
            f'{", ".join(where) or "none"} | {verdict} |')


def page():
    """The text of docs/papers.md."""
    parts = [HEAD]
    for content in papers():
        parts.append(f'## {content["title"]}\n')
        if 'note' in content:
            parts.append(f'{content["note"].strip()}\n')
        parts.append('\n'.join([
            '| item | what | file or command | |', '|---|---|---|---|',
            *map(line, content['rows'])
        ]) + '\n')
    return '\n'.join(parts)


if __name__ == '__main__':
    PAGE.write_text(page(), encoding='utf-8')
    print(f'wrote {PAGE}')
