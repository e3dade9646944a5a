# Copyright (c) OpenMMLab. All rights reserved.
"""The record of versions and its page; environments are made by hand only."""
import json
import sys
from pathlib import Path

import pytest
from started_tools import ROOT, load_tool

pytestmark = pytest.mark.integration
TESTS = """
import pytest

def test_good():
    pass

@pytest.mark.parametrize('n', [0, 1])
def test_bad(n):
    assert n == 0, 'one is too many'

def test_other():
    pytest.skip('not on a Tuesday')

def test_broken(no_such_fixture):
    pass
"""


@pytest.fixture
def environment(tmp_path):
    """The Python of these tests."""
    (tmp_path / 'bin').mkdir()
    (tmp_path / 'bin/python').symlink_to(sys.executable)
    (tmp_path / 'test_it.py').write_text(TESTS)
    return load_tool('check_versions').Environment(
        tmp_path, tmp_path / 'log.txt')


def test_tests_are_counted(environment, tmp_path):
    found = environment.test([tmp_path / 'test_it.py'], tmp_path / 'out.xml')
    assert found['passed'] == 2
    assert found['skipped'] == {'not on a Tuesday': 1}
    (bad, why), (broken, reason) = found['failed'].items()
    assert bad.endswith('test_it.test_bad[1]') and 'one is too many' in why
    assert broken.endswith('test_broken') and 'setup' in reason


def test_what_fails_is_said(environment):
    code = 'print("fine"); print("MyError: no"); raise SystemExit(1)'
    with pytest.raises(load_tool('check_versions').Failed,
                       match='^fails at training: MyError: no$'):
        environment.run('training', '-c', code)
    assert 'fine' in environment.log.read_text()


def test_the_page_is_made_of_the_record():
    tool = load_tool('check_versions')
    rows = json.loads(Path(ROOT / 'docs/versions.json').read_text())['rows']
    assert tool.page(rows) == (ROOT / 'docs/versions.md').read_text()
    assert list(rows) == sorted(rows, key=tool.order)
