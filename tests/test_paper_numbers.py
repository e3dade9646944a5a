# Copyright (c) OpenMMLab. All rights reserved.
"""Configs have the numbers of the papers, or say why they do not."""
import ast
from pathlib import Path

import pytest
import tiny_configs
import yaml
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from paper_numbers import quantities

ROOT = Path(__file__).parent.parent
FILES = sorted((ROOT / 'tests/paper_numbers').glob('*.yml'))
PAPERS = {path.stem: yaml.safe_load(path.read_text()) for path in FILES}
# Parts, and small trainings, which are this project's.
OWN = ('_base_', 'small', 'studies')
NO_NUMBERS = ('recipes', 'differs', 'silent')

pytestmark = pytest.mark.unit

CASES = [(paper, name) for paper, content in PAPERS.items()
         for name in content['configs']]


def stated(paper, name):
    """Quantity -> [value, place] of one config."""
    content = PAPERS[paper]
    entry = content['configs'][name]
    found = {}
    for recipe in entry.get('recipes', ()):
        found.update(content['recipes'][recipe])
    found.update({
        key: value
        for key, value in entry.items() if key not in NO_NUMBERS
    })
    return found, entry.get('differs', {})


def alike(ours, theirs):
    """Equal, with floats that went through a multiplication."""
    if isinstance(theirs, (list, tuple)):
        return len(ours) == len(theirs) and all(map(alike, ours, theirs))
    if isinstance(theirs, (int, float)) and not isinstance(theirs, bool):
        return ours == pytest.approx(theirs)
    return ours == theirs


def value(cfg, found, name):
    """What a config has for a quantity or a dotted key."""
    if name in found:
        return found[name]
    if '.' in name:
        part = cfg
        for key in name.split('.'):
            part = part[int(key)] if isinstance(part, list) else part.get(key)
            if part is None:
                return None
        return part
    return None


def header(path):
    return ast.get_docstring(ast.parse(path.read_text())) or ''


@pytest.mark.parametrize('paper, name', CASES,
                         ids=[f'{p}-{n}' for p, n in CASES])
def test_config_has_the_numbers_of_the_paper(paper, name):
    path = ROOT / 'configs' / name
    cfg = Config.fromfile(path)
    found = quantities.of_config(cfg, path)
    numbers, differs = stated(paper, name)
    assert numbers or PAPERS[paper]['configs'][name].get('silent'), (
        'name a number of the paper, or say that it is silent')
    for quantity, (theirs, place) in numbers.items():
        # YAML reads 5e-7 as a word.
        if isinstance(theirs, str) and theirs[:1].isdigit():
            theirs = float(theirs)
        ours = value(cfg, found, quantity)
        if quantity in differs:
            assert not alike(ours, theirs), f'{quantity} does not differ'
        else:
            assert ours is not None, f'{quantity} is not in the config'
            assert alike(ours, theirs), (
                f'{quantity} is {ours}, {place} says {theirs}')
    assert not set(differs) - set(numbers), 'differs from what?'


@pytest.mark.parametrize(
    'name', sorted({name for _, name in CASES if name.split('/')[0] not in (
        'mmseg', 'mmdet')}))
def test_the_optimizer_that_is_built_has_them_too(name, tmp_path):
    """Of a tiny model: rates by layer, and weight decay but for vectors."""
    path = ROOT / 'configs' / name
    found = quantities.of_config(Config.fromfile(path), path)
    cfg = Config.fromfile(path)
    model, _, _ = tiny_configs.tiny(cfg, tmp_path)
    optimizer = build_optim_wrapper(model, dict(
        type='OptimWrapper', optimizer=cfg.optim_wrapper.optimizer,
        constructor=cfg.optim_wrapper.get('constructor',
                                          'DefaultOptimWrapperConstructor'),
        paramwise_cfg=cfg.optim_wrapper.get('paramwise_cfg'))).optimizer
    assert type(optimizer).__name__ == found['optimizer']
    groups = optimizer.param_groups
    assert {group['weight_decay'] for group in groups} == {
        0., found['weight_decay']}
    assert list(groups[0]['betas']) == found['betas']
    rates = sorted({group['lr'] for group in groups}, reverse=True)
    assert rates[0] == pytest.approx(found['lr'])
    if 'layer_decay' in found:
        # The head, two blocks, and what is before them.
        assert rates == pytest.approx([
            found['lr'] * found['layer_decay']**depth for depth in range(4)])
    else:
        assert len(rates) == 1


@pytest.mark.parametrize('paper', PAPERS)
def test_every_number_has_its_place(paper):
    content = PAPERS[paper]
    for entry in [*content.get('recipes', {}).values(),
                  *content['configs'].values()]:
        for name, number in entry.items():
            if name not in NO_NUMBERS:
                _, place = number
                assert isinstance(place, str) and place, name


@pytest.mark.parametrize('paper', PAPERS)
def test_every_config_of_a_paper_is_compared(paper):
    """Those whose header names its author as the paper."""
    author = PAPERS[paper]['author']
    named = {
        path.relative_to(ROOT / 'configs').as_posix()
        for path in sorted((ROOT / 'configs').rglob('*.py'))
        if not (set(OWN) & set(path.relative_to(ROOT).parts)
                or path.stem.endswith('_small'))
        and author in ' '.join(header(path).partition('Paper:')[2].partition(
            'Expected:')[0].split())
    }
    assert not named - set(PAPERS[paper]['configs'])
