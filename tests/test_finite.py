# Copyright (c) OpenMMLab. All rights reserved.
"""No option of a model or masker is NaN or infinite."""
import inspect
import math

import pytest
from torch import nn

import sbam_mm.masking
import sbam_mm.models.heads
import sbam_mm.models.losses
import sbam_mm.models.necks
import sbam_mm.models.teachers
from sbam_mm.registry import MODELS

pytestmark = pytest.mark.unit
MODULES = (sbam_mm.masking, sbam_mm.models.heads, sbam_mm.models.losses,
           sbam_mm.models.necks, sbam_mm.models.teachers)


def numeric_options():
    """Every class of these modules with every option that is a number."""
    for module in MODULES:
        for name, cls in vars(module).items():
            if not (inspect.isclass(cls) and issubclass(cls, nn.Module)
                    and cls.__module__.startswith('sbam_mm')):
                continue
            for option in inspect.signature(cls).parameters.values():
                default = option.default
                if isinstance(default, float) or (
                        isinstance(default, tuple)
                        and any(isinstance(x, float) for x in default)):
                    yield pytest.param(cls, option.name, default,
                                       id=f'{name}.{option.name}')


@pytest.mark.parametrize('value', [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize('cls, option, default', list(numeric_options()))
def test_refused_at_build_time(cls, option, default, value):
    if isinstance(default, tuple):
        value = (default[0], value)
    needed = {
        name: {} for name, p in inspect.signature(cls).parameters.items()
        if p.default is p.empty and p.kind == p.POSITIONAL_OR_KEYWORD
    }
    with pytest.raises(ValueError, match=option.split('_')[0]):
        cls(**{**needed, option: value})


def test_there_are_many_such_options():
    assert len(list(numeric_options())) > 40


@pytest.mark.parametrize('cfg', [
    dict(type='sbam_mm.SBAM', noise=math.nan),
    dict(type='sbam_mm.SBAM', delta=math.inf),
    dict(type='sbam_mm.SBAM', salience=dict(scale=math.nan)),
    dict(type='sbam_mm.BlockMasker', min_aspect=math.nan),
    dict(type='sbam_mm.IBOTMasker', ratio=(0.1, math.nan)),
    dict(type='sbam_mm.Masker',
         salience=dict(type='sbam_mm.NoSalience'),
         ratio=dict(type='sbam_mm.FixedRatio'),
         selection=dict(type='sbam_mm.Bump', bump=math.inf)),
    dict(type='sbam_mm.MomentumTeacher', milestones=((100, math.nan), )),
], ids=str)
def test_wherever_it_stands(cfg):
    with pytest.raises(ValueError, match='no finite number; set another'):
        MODELS.build(cfg)


@pytest.mark.parametrize('cfg, word', [
    (dict(type='sbam_mm.BlockMasker', min_aspect=0.), 'min_aspect'),
    (dict(type='sbam_mm.BlockMasker', min_aspect=-1.), 'min_aspect'),
    (dict(type='sbam_mm.BlockMasker', attempts=0), 'attempts'),
    (dict(type='sbam_mm.BootMAEMasker', min_aspect=2.), 'min_aspect'),
    (dict(type='sbam_mm.BootMAEMasker', roll=-1), 'roll'),
    (dict(type='sbam_mm.SBM', cell=0), 'cell'),
    (dict(type='sbam_mm.SBM', start_epoch=-1), 'start_epoch'),
    (dict(type='sbam_mm.ColorMAEMasker', sigma=0.), 'sigma'),
    (dict(type='sbam_mm.InverseBlockMasker', size=-1), 'size'),
    (dict(type='sbam_mm.SelfGuidedMasker', start_progress=2.),
     'start_progress'),
], ids=str)
def test_ranges(cfg, word):
    with pytest.raises(ValueError, match=word):
        MODELS.build(cfg)


def test_signature_and_docstring_stay():
    assert 'delta_r' in inspect.signature(sbam_mm.masking.SBAM).parameters
    with pytest.raises(TypeError, match='unexpected keyword'):
        sbam_mm.masking.SBAM(nois=.5)
