# Copyright (c) OpenMMLab. All rights reserved.
"""Every method with every masker: two optimizer steps, or the reason why not.
"""
import math

import pytest
import tiny_configs
import torch
from mmengine.config import ConfigDict
from small_runs import small

METHODS = {
    'MAE': 'mae_small',
    'CrossMAE': 'crossmae_small',
    'SimMIM': 'simmim_small',
    'DINO': 'dino_small',
    'iBOT': 'ibot_small',
    'CMAE': 'cmae_small',
    'BootMAE': 'bootmae_small',
    'CAE': 'cae_small',
    'ConvMAE': 'convmae_small',
    'HPM': 'mae_small hpm',
    'GPAFeature': 'gpa_feature_small',
    'IJEPA': 'ijepa_small',
    'data2vec 2.0': 'data2vec2_small',
}
OWN = dict(source='self')
MASKERS = {
    'random': dict(type='RandomMasker'),
    'block': dict(type='BlockMasker', ratio=0.6),
    'uniform': dict(type='UniformMasker'),
    'grid': dict(type='GridMasker'),
    'random-ratio': dict(type='RandomRatioMasker', ratio=0.6),
    'sbm': dict(type='SBM'),
    'sbam': dict(type='SBAM', ratio=0.6, delta_r=0.3),
    'sbam-batch': dict(type='SBAM', scope='batch'),
    'incoming': dict(type='IncomingMasker'),
    'attmask-high': dict(type='AttMask', ratio=0.75, probability=1., **OWN),
    'attmask-hint': dict(
        type='AttMask', mode='hint', ratio=0.75, probability=1., **OWN),
    'attmask-teacher': dict(type='AttMask', ratio=0.75, probability=1.),
    'am': dict(type='AM'),
    'amt': dict(type='AMT'),
    'random-throw': dict(type='RandomThrow'),
    'gpa': dict(type='GPA', block=1, head=2, **OWN),
    'gpa-teacher': dict(type='GPA', block=1, head=2),
    'hpm': dict(type='HPMMasker'),
    'milan': dict(type='MILANMasker', **OWN),
    'semmae': dict(type='SemMAEMasker'),
    'ijepa': dict(type='IJEPAMasker'),
    'colormae': dict(type='ColorMAEMasker'),
    'inverse-block': dict(type='InverseBlockMasker'),
    'capi': dict(type='InverseBlockMasker', size=None, ratio=0.65),
    'self-guided': dict(type='SelfGuidedMasker', start_progress=0.),
    'curriculum': dict(type='CurriculumMasker'),
}

# Maskers that ask for a class token, or for what only one method has.
CLS = ('attmask-high', 'attmask-hint', 'milan')
TEACHERS = ('attmask-teacher', 'gpa-teacher')
STORED = ('am', 'amt', 'semmae')
ATTENTION = (*CLS, *TEACHERS, 'gpa')
# The pairs that cannot be, and what their user is told.
IMPOSSIBLE = {
    **{(method, 'hpm'): "model.type='sbam_mm.HPM'"
       for method in METHODS if method != 'HPM'},
    # Multi-crop pipelines bring no maps.
    **{(method, masker): 'cannot give'
       for method in ('DINO', 'iBOT') for masker in STORED},
    **{('ConvMAE', masker): "class token.*queries='all'" for masker in CLS},
    # It predicts the attention its masker goes by.
    **{('GPAFeature', masker): 'set model.target'
       for masker in MASKERS if masker not in (*ATTENTION, 'hpm')},
}


def build(method, masker, folder):
    """The small config of a method with another masker, and a batch."""
    torch.manual_seed(0)
    cfg = small(METHODS[method])
    options = MASKERS[masker]
    cfg.model.masker = ConfigDict(
        options, type=f'sbam_mm.{options["type"]}')
    if masker in TEACHERS and method in ('MAE', 'CrossMAE', 'SimMIM', 'CAE',
                                         'HPM'):
        cfg.model.teacher = ConfigDict(type='sbam_mm.MomentumTeacher')
    if masker in TEACHERS and method == 'ConvMAE':
        # Its encoder is no ViT, whose moving average could be asked.
        cfg.model.teacher = ConfigDict(
            type='sbam_mm.FrozenTeacher',
            backbone=dict(type='sbam_mm.MaskedViT'),
            checkpoint='')
    return tiny_configs.tiny(cfg, folder)


def two_steps(model, inputs, data_samples):
    """Train; returns the losses and the parameters that never learnt."""
    model.train()
    learnt = {n: p for n, p in model.named_parameters() if p.requires_grad}
    idle = set(learnt)
    optimizer = torch.optim.AdamW(learnt.values(), lr=1e-3)
    losses = []
    for _ in range(2):
        out = model(inputs, data_samples, mode='loss')
        total, _ = model.parse_losses(out)
        optimizer.zero_grad()
        total.backward()
        idle -= {
            n
            for n, p in learnt.items()
            if p.grad is not None and p.grad.abs().sum() > 0
        }
        optimizer.step()
        losses.append(total.item())
    return losses, idle


@pytest.mark.parametrize('masker', MASKERS)
@pytest.mark.parametrize('method', METHODS)
def test_two_steps(method, masker, tmp_path):
    if (method, masker) in IMPOSSIBLE:
        with pytest.raises(ValueError, match=IMPOSSIBLE[method, masker]) as e:
            two_steps(*build(method, masker, tmp_path))
        assert '\n' not in str(e.value)
        return
    losses, idle = two_steps(*build(method, masker, tmp_path))
    assert all(math.isfinite(loss) for loss in losses), losses
    assert not idle
