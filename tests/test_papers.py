# Copyright (c) OpenMMLab. All rights reserved.
"""docs/papers.md names what configs say of themselves, and all of it."""
import ast
import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SPEC = importlib.util.spec_from_file_location(
    'make_papers', ROOT / 'docs/papers/make.py')
make = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(make)

# Parts, and small trainings, which are this project's.
OWN = ('_base_', 'small')
LISTED = r'\d+(?:(?:,| and| to) \d{1,2}\b)*'

pytestmark = pytest.mark.unit
PAPERS = {content['title']: content for content in make.papers()}


def named_items(text):
    """Tables and figures that a header names.

    >>> sorted(named_items('Table 1 and 2; Fig. 3, supplement Table 1'))
    ['Fig. 3', 'Table 1', 'Table 2', 'supplement Table 1']
    """
    found = set()
    text = ' '.join(text.split())
    # "supplement Table 2 and Fig. 4" are both of the supplement.
    pattern = rf'(supplement,? |and )?(Table|Fig)s?\.? ({LISTED})'
    before = ''
    for word, kind, numbers in re.findall(pattern, text):
        supplement = before if word == 'and ' else word
        before = supplement
        listed = [int(n) for n in re.findall(r'\d+', numbers)]
        if ' to ' in numbers:
            listed = range(listed[0], listed[-1] + 1)
        kind = {'Fig': 'Fig.'}.get(kind, kind)
        found |= {
            f'{"supplement " if supplement else ""}{kind} {n}'
            for n in listed
        }
    return found


def own_part(path, author):
    """What a header says of this author's paper, other papers left out."""
    doc = ' '.join((ast.get_docstring(ast.parse(
        path.read_text())) or '').split())
    paper = doc.partition('Paper:')[2].partition('Expected:')[0]
    _, found, rest = paper.partition(author)
    # Up to the next paper.
    return re.split(r'\w+ et al\.', rest)[0] if found else ''


def headers(author):
    """Config -> items its header names."""
    return {
        path.relative_to(ROOT / 'configs').as_posix(): named_items(
            own_part(path, author))
        for path in sorted((ROOT / 'configs').rglob('*.py'))
        if not (set(OWN) & set(path.parts) or path.stem.endswith('_small'))
    }


def test_the_page_is_up_to_date():
    assert make.PAGE.read_text() == make.page(), (
        'run python docs/papers/make.py')


@pytest.mark.parametrize('content', PAPERS.values(), ids=PAPERS)
def test_rows_say_what_they_have_to(content):
    for row in content['rows']:
        assert row['verdict'] in make.VERDICTS
        assert ('because' in row) == (row['verdict'] != 'same'), row
        if row['verdict'] != 'not possible':
            assert row.get('files') or row.get('command'), row
        for file in row.get('files', ()):
            assert (ROOT / make.place(file)).exists(), file


@pytest.mark.parametrize('content', PAPERS.values(), ids=PAPERS)
def test_every_table_and_figure_has_a_row(content):
    wanted = {f'{kind} {number}' for kind, count in content['counts'].items()
              for number in range(1, count + 1)}
    assert not wanted - {row['item'] for row in content['rows']}


@pytest.mark.parametrize('content', PAPERS.values(), ids=PAPERS)
def test_headers_and_rows_agree(content):
    named = headers(content['author'])
    listed = {}
    for row in content['rows']:
        for file in row.get('files', ()):
            if make.place(file).startswith('configs/'):
                listed.setdefault(file, set()).add(row['item'])
    wrong = {}
    for file in {*listed, *named}:
        rows = {item for item in listed.get(file, ())
                if re.search(r'Table|Fig', item)}
        header = named.get(file, set())
        if rows != header:
            wrong[file] = dict(rows=rows - header, header=header - rows)
    assert not wrong


@pytest.mark.parametrize('content', PAPERS.values(), ids=PAPERS)
def test_commands_have_the_options_they_name(content):
    for row in content['rows']:
        command = row.get('command', '')
        tool = re.search(r'tools/[\w/]+\.(?:py|sh)', command)
        if tool:
            text = (ROOT / tool[0]).read_text()
            options = re.findall(r'--[a-z-]+', command)
            assert not [o for o in options if f"'{o}'" not in text], command
