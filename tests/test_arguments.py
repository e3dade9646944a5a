# Copyright (c) OpenMMLab. All rights reserved.
"""KEY=VALUE arguments: what cannot be read is said in a sentence."""
import argparse

import pytest

from sbam_mm.arguments import KeyValues

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
