# Copyright (c) OpenMMLab. All rights reserved.
"""A forward pass of every framework on CUDA, without a GPU.

A line of the table fails when a step waits more often than it says, and when
it waits less often: then the table is to be corrected.
"""
from typing import NamedTuple

import pytest
import torch
from mmengine.config import Config
from watched import (
    ROOT,
    Watch,
    batch_of,
    faked,
    give_weights,
    needs_cuda_build,
    running,
)

from sbam_mm.engine.replace_masker import replace_masker
from sbam_mm.engine.trial_build import build_without_weights, quiet

pytestmark = [pytest.mark.unit, needs_cuda_build]


class Step(NamedTuple):
    """A training step, and what it asks of CUDA in its forward pass.

    Attributes:
        config (str): Below configs/.
        masker (str): In place of the config's own.
        waits (int): How often the host waits for the device.
        varlen, flash, efficient (int): Calls of each attention kernel.
        float32 (int): Matrix products not in bfloat16.
        equal (bool): Whether all images keep equally many tokens, though
            their number is not known on the host.
    """
    config: str
    waits: int = 0
    varlen: int = 0
    flash: int = 0
    efficient: int = 0
    float32: int = 0
    masker: str = ''
    equal: bool = False


# Blocks of a ViT-B are 12, of a ViT-L 24, of a decoder 8; the last of these
# is one call for masked patches alone, which is of the varlen kernel.
# Waits: L = the lengths of packed sequences, packed/layout.py; C = how many
# patches are masked, which is asked for long before, to_host.py; R = how large
# the rectangles are that are searched on the CPU, masking/blocks.py.
STEPS = {
    'MAE': Step('baselines/mae_vitb_400e', flash=12 + 7, varlen=1),
    'MAE, SBM': Step(
        'sbm_mae_vitl_800e', flash=24 + 7, varlen=1, float32=1),
    'MAE, SBAM': Step(
        'sbam_mae_vitb_400e', waits=1,  # L
        flash=7, varlen=12 + 1, float32=1),
    'MAE, blocks': Step(
        'baselines/mae_vitb_400e', flash=12 + 7, varlen=1, masker='block'),
    # A teacher's blocks before the one that is asked are 11, of GPA 9; what
    # is asked are two products in float32.
    'MAE, AttMask': Step(
        'baselines/mae_vitb_400e',
        flash=12 + 7 + 11, varlen=1, float32=2, masker='attmask-high'),
    'MAE, AutoMAE': Step(
        'baselines/automae_bump_vitb_800e',
        flash=12 + 7 + 11, varlen=1, float32=2),
    'GPA, as teacher': Step(
        'baselines/gpa_mae_vitb_200e',
        flash=12 + 7 + 9, varlen=1, float32=2),
    'GPA, as teacher and feature': Step(
        'gpa/gpa_both_mae_vitb_200e', flash=12 + 8 + 8 + 9, float32=2),
    # Thrown tokens leave the encoder and the decoder.
    'AMT': Step(
        'baselines/amt_mae_vitb_400e', waits=1,  # L
        flash=12, varlen=8),
    'AMT, nothing thrown': Step(
        'baselines/am_mae_vitb_400e', flash=12 + 7, varlen=1),
    'SemMAE': Step('baselines/semmae_vitb_800e', flash=12 + 7, varlen=1),
    'UM-MAE': Step('baselines/um_mae_vitb_200e', flash=12 + 7, varlen=1),
    # A second decoder, and the teacher with it.
    'HPM': Step('baselines/hpm_vitb_200e', flash=2 * (12 + 8) + 8),
    'HPM, SBAM': Step(
        'baselines/hpm_vitb_200e', waits=1,  # L
        flash=8 + 8, varlen=12, float32=1, masker='sbam'),
    # CLIP's last block multiplies matrices, for its attention is asked.
    'MILAN': Step('baselines/milan_vitb_400e', flash=12 + 8 + 11),
    'MILAN, SBAM': Step(
        'baselines/milan_vitb_400e', waits=1,  # L
        flash=8 + 11, varlen=12, float32=1, masker='sbam'),
    # Relative positions are a bias, which flash attention does not take.
    'BEiT': Step('baselines/beit_vitb_800e', efficient=12),
    'BEiT, SBAM': Step(
        'baselines/beit_vitb_800e', waits=1,  # C
        efficient=12, float32=1, masker='sbam'),
    'SimMIM': Step('simmim/simmim_vitb_800e', efficient=12),
    'SimMIM, SBAM': Step(
        'simmim/simmim_vitb_sbam_800e', efficient=12, float32=1),
    'SimMIM, AttMask': Step(
        'simmim/simmim_vitb_attmask_high_800e', efficient=12 + 11, float32=2),
    'SimMIM, AMT': Step(
        'simmim/simmim_vitb_amt_200e', waits=1,  # L
        flash=12, equal=True),
    # Two regressors of four blocks, and the target.
    'BootMAE': Step(
        'bootmae/bootmae_vitb_800e', flash=12 + 12 + 4 + 4),
    'BootMAE, SBAM': Step(
        'bootmae/bootmae_vitb_sbam_800e', waits=1,  # L
        flash=12, varlen=12 + 4 + 4, float32=1),
    # Regressor and decoder of four blocks, and the target.
    'CAE': Step(
        'cae/cae_vits_300e', flash=12 + 12 + 4, varlen=4),
    'CAE, GPA': Step(
        'cae/cae_vits_gpa_300e',
        flash=12 + 12 + 4 + 9, varlen=4, float32=2),
    'CAE, SBAM': Step(
        'cae/cae_vits_sbam_300e', waits=1,  # L
        varlen=12 + 12 + 4 + 4, float32=1),
    # Its target, a second decoder of two blocks, and the contrastive loss.
    'CMAE': Step(
        'cmae/cmae_vitb_800e',
        flash=12 + 7 + 12 + 2, varlen=1, float32=1),
    'CMAE, SBAM': Step(
        'cmae/cmae_vitb_sbam_800e', waits=1,  # L
        flash=7 + 12 + 2, varlen=12 + 1, float32=2),
    'ConvMAE': Step('convmae/convmae_base_800e', flash=11 + 7, varlen=1),
    'ConvMAE, SBAM': Step(
        'convmae/convmae_base_sbam_800e', waits=1,  # L
        flash=7, varlen=11 + 1, float32=1),
    'ConvMAE, GPA': Step(
        'convmae/convmae_small_gpa_200e',
        flash=11 + 7 + 9, varlen=1, float32=2),
    'CrossMAE': Step('crossmae/crossmae_vitb_800e', flash=12 + 12),
    'CrossMAE, SBAM': Step(
        'crossmae/crossmae_vitb_sbam_800e', waits=1,  # L
        varlen=12 + 12, float32=1),
    # A teacher's pass; lengths of contexts, with targets, and of targets.
    'I-JEPA': Step(
        'ijepa/ijepa_vith14_300e', waits=3,  # L three times
        flash=32, varlen=32 + 12),
    'I-JEPA, SBAM': Step(
        'ijepa/ijepa_vith14_300e', waits=3,  # L three times
        flash=32, varlen=32 + 12, float32=1, masker='sbam'),
    'data2vec 2.0': Step(
        'data2vec2/data2vec2_vitb_75e', flash=12 + 12),
    'data2vec 2.0, SBAM': Step(
        'data2vec2/data2vec2_vitb_75e', waits=1,  # L
        flash=12, varlen=12, float32=16, masker='sbam'),
    # The teacher, and the student on crops of two sizes; prototypes are
    # compared in float32, three times, with those of patches six times.
    'DINO': Step('dino/dino_vits_100e', flash=3 * 12, float32=3),
    'iBOT': Step(
        'ibot/ibot_vitb_100e', waits=2,  # R, C
        flash=3 * 12, float32=6),
    'iBOT, SBAM': Step(
        'ibot/ibot_vitb_sbam_100e', waits=1,  # C
        flash=3 * 12, float32=6 + 1),
    'iBOT, AttMask': Step(
        'ibot/ibot_vits_attmask_high_100e', waits=1,  # C
        flash=3 * 12, float32=6 + 2),
    'iBOT, GPA': Step(
        'ibot/ibot_vitb_gpa_100e', waits=1,  # C
        flash=3 * 12 + 9, float32=6 + 2),
    # The bias is in channels of queries and keys, see segments/bias.py.
    'segment bias': Step(
        'segment_bias/mae_vitb16_bias_1600e', flash=7, varlen=12 + 1),
    'segment bias, SBAM': Step(
        'segment_bias/mae_vitb16_bias_sbam_1600e', waits=1,  # L
        flash=7, varlen=12 + 1, float32=1),
    'segment bias, DINO': Step(
        'segment_bias/dino_vits16_bias_300e',
        varlen=3 * 12, float32=3),
    # Attention itself is learnt: two products in each block of student and
    # teacher, for each length there is.
    'DistilMAE': Step(
        'segment_bias/mae_vitb16_distill_1600e', flash=8, float32=4 * 12),
    'DistilMAE, SBAM': Step(
        'segment_bias/mae_vitb16_distill_1600e', waits=2,  # L twice
        flash=8, float32=4 * 12 * 3 + 1, masker='sbam'),
    'DistilDINO': Step(
        'segment_bias/dino_vits16_distill_300e',
        flash=2 * 12, varlen=2 * 12, float32=2),
    # One ratio for the batch, and five numbers that mmpretrain logs.
    "mmpretrain's MAE, SBAM": Step(
        'drop_in/mmpretrain_mae_vitb_sbam', waits=6,
        flash=12 + 8, float32=1),
}


# One of each framework; their mixtures with other maskers take minutes.
@pytest.mark.parametrize('name', [
    name if ', ' not in name or name in ('MAE, SBAM', 'iBOT, SBAM')
    else pytest.param(name, marks=pytest.mark.slow) for name in STEPS])
def test_step(name, tmp_path):
    step = STEPS[name]
    cfg = Config.fromfile(ROOT / f'configs/{step.config}.py')
    give_weights(cfg, tmp_path)
    if step.masker:
        replace_masker(cfg, step.masker)
    with quiet():
        model = build_without_weights(cfg)
    watch = Watch()
    if step.equal:
        watch.lengths = lambda number: [60] * number
    with running(watch):
        model = faked(model).train()
        batch = batch_of(cfg, 3)
        model(*batch, mode='loss')  # tables that are made once
        watch.clear()
        losses = model(*batch, mode='loss')
    expected = dict(step._asdict())
    for option in ('config', 'masker', 'equal'):
        del expected[option]
    assert watch.counts == expected, watch.waited
    assert not watch.wrong
    assert watch.norms == {torch.float32}
    assert {loss.device.type for loss in losses.values()} == {'cuda'}
    assert all(loss.dtype == torch.float32 for key, loss in losses.items()
               if 'loss' in key)
