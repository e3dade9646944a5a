"""AMR and SBAM's noise on AttMask's scores: the class token's attention.

The encoder is its own teacher: one more pass over all tokens, without
gradient. AttMask takes the scores from iBOT's EMA teacher.

Paper:    none; Eq. 7 of Choi et al., ECCV 2024, on the scores of
          Kakogeorgiou et al., ECCV 2022.
Expected: not measured by this project.
Cost:     not measured by this project; one encoder pass over all tokens more
          than SBAM.
Command:  DATA_ROOT=data/cifar10 .venv/bin/python tools/train.py \
              configs/ablations/amr_on_attmask_small.py
"""
_base_ = '../small/mae_small.py'

model = dict(
    masker=dict(
        _delete_=True,
        type='sbam_mm.Masker',
        salience=dict(type='sbam_mm.AttentionSalience', queries='cls'),
        ratio=dict(type='sbam_mm.AdaptiveRatio', ratio=0.75, delta_r=0.15),
        selection=dict(type='sbam_mm.NoisyTopK', noise=0.5)))
