# Copyright (c) OpenMMLab. All rights reserved.
"""KEY=VALUE arguments: what cannot be read is said in a sentence."""
import argparse

import pytest

from sbam_mm.command_line import KeyValues

pytestmark = pytest.mark.unit


@pytest.mark.parametrize('text, sentence', [
    ('foo', 'sets nothing'),
    ('a=[1,(2]', 'cannot be read'),
    ('a=[f(x=1,y=2),3]', 'cannot be read'),
])
def test_wrong_values_are_explained(text, sentence, capsys):
    parser = argparse.ArgumentParser()
    parser.add_argument('--cfg-options', nargs='+', action=KeyValues)
    with pytest.raises(SystemExit) as stopped:
        parser.parse_args(['--cfg-options', text])
    assert stopped.value.code == 2
    assert sentence in capsys.readouterr().err.splitlines()[-1]


def test_a_second_option_adds_to_the_first():
    parser = argparse.ArgumentParser()
    parser.add_argument('--cfg-options', nargs='+', action=KeyValues)
    found = parser.parse_args(
        ['--cfg-options', 'a=1', 'b=1', '--cfg-options', 'b=2', 'c=3'])
    assert found.cfg_options == dict(a=1, b=2, c=3)
