"""SBAM's noisy ranking on GPA's scores, at a fixed ratio.

S + U(0, 0.5), as in section 3 of SBAM, with S from the queries of all patches
in the last block of the encoder itself.

Paper:    none; the selection of Choi et al., ECCV 2024, on the scores of
          GPA, ACM MM 2024.
Expected: not measured by this project.
Cost:     not measured by this project; one encoder pass over all tokens more
          than SBM.
Command:  DATA_ROOT=data/cifar10 .venv/bin/python tools/train.py \
              configs/ablations/sbam_noise_on_gpa_small.py
"""
_base_ = '../small/mae_small.py'

model = dict(
    masker=dict(
        _delete_=True,
        type='sbam_mm.Masker',
        salience=dict(
            type='sbam_mm.AttentionSalience', head='last', queries='patches',
            softmax=False, own_query=False),
        ratio=dict(type='sbam_mm.FixedRatio', ratio=0.75),
        selection=dict(type='sbam_mm.NoisyTopK', noise=0.5)))
