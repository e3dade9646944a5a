"""AMR on GPA's scores, selected from soft to hard over the training.

The encoder is its own teacher; GPA takes the scores from a frozen,
pre-trained one.

Paper:    none; Eq. 7 of Choi et al., ECCV 2024, on the scores and the
          schedule of GPA, ACM MM 2024.
Expected: not measured by this project.
Cost:     not measured by this project; one encoder pass over all tokens more
          than SBAM.
Command:  DATA_ROOT=data/cifar10 .venv/bin/python tools/train.py \
              configs/ablations/amr_on_gpa_small.py
"""
_base_ = '../small/mae_small.py'

model = dict(
    masker=dict(
        _delete_=True,
        type='sbam_mm.Masker',
        salience=dict(
            type='sbam_mm.AttentionSalience',
            block=-1,
            head='last',
            queries='patches',
            softmax=False,
            own_query=False),
        ratio=dict(type='sbam_mm.AdaptiveRatio', ratio=0.75, delta_r=0.15),
        selection=dict(type='sbam_mm.SoftToHard')))
