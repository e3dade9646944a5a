# Copyright (c) OpenMMLab. All rights reserved.
"""Options from signatures: every masker's controls, and back to its config."""
import pytest
import torch

from sbam_mm.explorer import config_lines, controls_of, with_values
from sbam_mm.explorer.controls import takes, without_defaults
from sbam_mm.explorer.option_texts import option_texts
from sbam_mm.masking import (
    SBAM,
    AdaptiveRatio,
    AffinitySalience,
    BlockMasker,
    Masker,
    MaskingContext,
    NoisyTopK,
)
from sbam_mm.masking.named_maskers import masker_names
from sbam_mm.registry import MODELS

pytestmark = pytest.mark.unit
SBAM_CONFIG = dict(type='sbam_mm.SBAM')


def control(controls, label):
    return next(one for one in controls if one.label == label)


def changed(config, **values):
    """The config after some controls were moved, by label."""
    controls = controls_of(config)
    unknown = values.keys() - {one.label for one in controls}
    assert not unknown
    return with_values(config, controls, [
        values.get(one.label, one.value) for one in controls])


@pytest.mark.parametrize('name', masker_names())
def test_every_value_of_every_control_builds(name):
    """Both ends of a slider and all words of a choice, one at a time."""
    config = masker_names()[name]
    controls = controls_of(config, depth=4, heads=3)
    for one in controls:
        assert one.label and one.kind in (
            'slider', 'switch', 'choice', 'number')
        if one.kind == 'slider':
            assert one.low <= one.value <= one.high
            assert one.low < one.high
        if one.kind == 'choice':
            assert one.value in one.choices
    # What nobody moves changes nothing.
    values = [one.value for one in controls]
    assert with_values(config, controls, values) == without_defaults(config)
    for i, one in enumerate(controls):
        if one.kind == 'slider' and one.path[-1] not in (
                'block', 'layer', 'delta_r', 'throw', 0, 1):
            for value in (one.low, one.high):
                values[i] = value
                MODELS.build(with_values(config, controls, values))
            values[i] = one.value
        for value in one.choices:
            values[i] = value
            MODELS.build(with_values(config, controls, values))
        values[i] = one.value


def test_sbam():
    controls = controls_of(SBAM_CONFIG, depth=4, heads=3)
    labels = [one.label for one in controls]
    assert labels[:4] == ['ratio', 'delta_r', 'delta', 'noise']
    assert 'start_epoch' not in labels
    assert control(controls, 'scope').choices == ('sample', 'batch')
    assert control(controls, 'rounding').choices == (
        'ceil', 'floor', 'float32')
    assert control(controls, 'cell').low == 1
    layer = control(controls, 'salience.layer')
    assert (layer.low, layer.high, layer.whole) == (0, 4, True)
    assert control(controls, 'delta').text == (
        'A token with S > delta is salient.')
    assert control(controls, 'max_visible').kind == 'number'


def test_changes_reach_the_config():
    assert changed(SBAM_CONFIG) == SBAM_CONFIG
    assert changed(SBAM_CONFIG, noise=0, cell=2.) == dict(
        SBAM_CONFIG, noise=0., cell=2)
    assert changed(SBAM_CONFIG, **{'salience.direction': 'incoming'}) == dict(
        SBAM_CONFIG, salience=dict(direction='incoming'))
    # The range of the ratio shrinks until it fits.
    assert changed(SBAM_CONFIG, ratio=.9) == dict(
        SBAM_CONFIG, ratio=.9, delta_r=.09)
    assert changed(SBAM_CONFIG, delta_r=.4) == dict(SBAM_CONFIG, delta_r=.24)
    gpa = dict(type='sbam_mm.GPA')
    assert changed(gpa, **{'hard[0]': -.5}) == dict(gpa, hard=(-.5, .5))
    assert changed(gpa, head='sum') == dict(gpa, head='sum')
    # A part that may be any part says which one it is.
    curriculum = dict(type='sbam_mm.CurriculumMasker')
    assert changed(curriculum, **{'salience.normalize': True}) == dict(
        curriculum, salience=dict(
            type='sbam_mm.AffinitySalience', normalize=True))


def test_parts_of_composed_maskers():
    config = masker_names()['centre']
    assert changed(config, **{'selection.noise': .2})['selection'] == dict(
        type='sbam_mm.NoisyTopK', noise=.2)
    assert changed(config, **{'ratio.ratio': .6})['ratio'] == dict(
        type='sbam_mm.FixedRatio', ratio=.6)


def test_sliders_end_where_the_masker_does():
    fixed = controls_of(dict(type='sbam_mm.UniformMasker'))
    assert not fixed
    grid = controls_of(dict(type='sbam_mm.GridMasker'))
    assert [one.label for one in grid] == ['stride']
    probability = control(controls_of(masker_names()['attmask-high']),
                          'probability')
    assert 0 < probability.low and probability.high == 1
    assert not takes(SBAM_CONFIG, ('noise', ), -1.)


def test_a_masker_of_somebody_else_has_controls():
    """Without a word of documentation, as in docs/extend/masker.md."""

    @MODELS.register_module()
    class TheirMasker(Masker):

        def __init__(self, ratio=0.7, delta_r=0.1, delta=0.3, noise=0.25,
                     strict=False, window=3):
            super().__init__(AffinitySalience(),
                             AdaptiveRatio(ratio, delta_r, delta),
                             NoisyTopK(noise))

    try:
        assert 'their' in masker_names()
        found = {one.label: (one.kind, one.value) for one in controls_of(
            masker_names()['their'])}
    finally:
        MODELS.module_dict.pop('TheirMasker')
    assert found == dict(
        ratio=('slider', .7), delta_r=('slider', .1), delta=('slider', .3),
        noise=('slider', .25), strict=('switch', False),
        window=('slider', 3))


def test_texts_follow_references():
    assert option_texts(SBAM)['scope'].startswith('"sample" gives image i')
    assert '0.4 is BEiT' in option_texts(BlockMasker)['ratio']


@pytest.mark.parametrize('config', [
    dict(type='sbam_mm.SBAM', noise=0., delta_r=.05),
    dict(type='sbam_mm.BlockMasker', ratio=.6),
    dict(masker_names()['centre'], cell=2)])
def test_copied_lines_give_the_same_masks(config):
    """What is copied is Python, and hides the same tokens."""
    lines: dict = {}
    exec(config_lines(config), lines)
    context = MaskingContext(torch.arange(4608.).sin().view(2, 144, 16),
                             (12, 12))
    masks = []
    for one in (config, lines['model']['masker']):
        torch.manual_seed(3)
        masks.append(MODELS.build(one)(context).masked)
    assert torch.equal(*masks)
    assert all(len(line) < 80 for line in config_lines(config).split('\n'))
