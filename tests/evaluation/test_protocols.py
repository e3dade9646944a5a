# Copyright (c) OpenMMLab. All rights reserved.
"""Settings of an evaluation: what has no meaning is said in a sentence."""
import pytest

from sbam_mm.evaluation.protocols import PROTOCOLS, settings_of

pytestmark = pytest.mark.unit


@pytest.mark.parametrize('change, words', [
    ('knn.temperature=0', 'no meaning with 0; give a number above 0'),
    ('linear.base_lr=-1', 'linear.base_lr has no meaning with -1'),
    ('linear.base_lr=1e999', 'linear.base_lr has no meaning with inf'),
    ('linear.warm_up=-3', 'linear.warm_up=-3 is no number of epochs'),
    ('linear.pooling=mean', "linear.pooling 'mean' is unknown; choose from "
     'cls, avg, cls.avg, 4cls, 4cls.avg'),
    ('linear-sweep.rates=(0.1,0.)', 'linear-sweep.rates has no meaning with '
     '0.0'),
    ('linear-sweep.poolings=foo', "^linear-sweep.poolings 'foo' is unknown"),
    ('fewshot.c=0', 'fewshot.c has no meaning with 0'),
    ('fewshot.shares=(0.1,2)', 'fewshot.shares has 2, which is no share'),
    ('fewshot.pooling=mean', 'choose from cls, avg, cls.avg[.]$'),
    ('fewshot.pooling=4cls', "fewshot.pooling '4cls' is unknown"),
    ("fewshot.lists=('a/1.txt','b/1.txt')", "has 2 files named '1'"),
    ('knn.n=3', 'KNN has k, temperature'),
    ('knn.k=x', 'value of the wrong kind'),
])
def test_no_meaning(change, words):
    with pytest.raises(ValueError, match=words):
        settings_of([change.partition('.')[0]], [change])


def test_changes_of_what_is_not_asked_for():
    with pytest.raises(ValueError, match='changes nothing without linear; '):
        settings_of(['knn'], ['knn.k=5', 'linear.epochs=2'])
    few = ['finetune.epochs=2', 'fewshot.finetune=True']
    assert settings_of(['fewshot'], few)['finetune'].epochs == 2
    with pytest.raises(ValueError, match='changes nothing without finetune'):
        settings_of(['fewshot'], few[:1])


def test_unchanged_settings_are_the_defaults():
    assert settings_of(list(PROTOCOLS)) == PROTOCOLS
    found = settings_of(['linear', 'fewshot'], [
        'linear.warm_up=0', 'fewshot.pooling=cls+avg', 'fewshot.c=1'])
    assert found['linear'].warm_up == 0
    assert (found['fewshot'].pooling, found['fewshot'].c) == ('cls+avg', 1)
