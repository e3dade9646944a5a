"""AutoMAE's bump on SBAM's salience: a head start for salient tokens.

The quarter of the tokens with the highest scores gets 0.5 on its draw from
U(0, 1). AutoMAE's scores come from a generator trained against random
rectangles, which is not part of this project.

Paper:    none; the selection of Chen et al., AutoMAE, 2023, on the scores of
          Choi et al., ECCV 2024.
Expected: not measured by this project.
Cost:     not measured by this project; that of SBM.
Command:  DATA_ROOT=data/cifar10 .venv/bin/python tools/train.py \
              configs/ablations/automae_bump_small.py
"""
_base_ = '../small/mae_small.py'

model = dict(
    masker=dict(
        _delete_=True,
        type='sbam_mm.Masker',
        salience=dict(type='sbam_mm.AffinitySalience'),
        ratio=dict(type='sbam_mm.FixedRatio', ratio=0.75),
        selection=dict(type='sbam_mm.Bump', top=0.25, bump=0.5)))
