# Copyright (c) OpenMMLab. All rights reserved.
"""The documents name what there is, and nothing else."""
import ast
import inspect
import re
from pathlib import Path

import pytest
import yaml
from torch import nn

from sbam_mm import masking

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / 'README.md', *sorted((ROOT / 'docs').rglob('*.md'))]
TOOLS = sorted((ROOT / 'tools').rglob('*.py'))
METAFILES = sorted((ROOT / 'configs').rglob('metafile.yml'))

pytestmark = pytest.mark.unit


def test_every_masker_and_part_is_documented():
    page = (ROOT / 'docs/maskers.md').read_text()
    for name in masking.__all__:
        kind = getattr(masking, name)
        if inspect.isclass(kind) and issubclass(kind, nn.Module):
            assert name == 'Masker' or f'`{name}' in page, name


@pytest.mark.parametrize('page', PAGES, ids=lambda p: p.name)
def test_links_lead_somewhere(page):
    links = re.findall(r'\]\(([^)#]+?)(?:#[^)]*)?\)', page.read_text())
    for link in links:
        if '://' not in link:
            assert (page.parent / link).exists(), link


@pytest.mark.parametrize('page', PAGES, ids=lambda p: p.name)
def test_files_that_are_named_exist(page):
    named = re.findall(r'(?:configs|tools|docs|tests|sbam_mm)/[\w/.-]+\.'
                       r'(?:py|sh|md|yml|png)', page.read_text())
    for path in named:
        assert (ROOT / path).exists(), path


@pytest.mark.parametrize('tool', TOOLS, ids=lambda p: p.name)
def test_commands_in_help_can_be_copied(tool):
    """A backslash at the end of a line stays, and the line with it."""
    page = ast.get_docstring(ast.parse(tool.read_text())) or ''
    lines = [line.strip() for line in page.splitlines()]
    commands = [line for line in lines if line.startswith('python tools/')]
    assert not [line for line in commands if '   ' in line]


def test_the_index_lists_every_metafile():
    index = yaml.safe_load((ROOT / 'model-index.yml').read_text())['Import']
    assert index == [str(p.relative_to(ROOT)) for p in METAFILES]


def test_every_pretraining_recipe_is_in_a_metafile():
    listed = {
        model['Config']
        for path in METAFILES
        for model in yaml.safe_load(path.read_text())['Models']
    }
    # Parts, trials, and what is done with a pre-trained file.
    skipped = ('_base_', 'small', 'ablations', 'drop_in', 'studies', 'options',
               'finetune', 'mmseg', 'mmdet')
    recipes = {
        str(path.relative_to(ROOT))
        for path in (ROOT / 'configs').rglob('*.py')
        if not set(skipped) & set(path.relative_to(ROOT).parts)
    }
    assert recipes == listed
