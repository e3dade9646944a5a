"""GPA's hard masks at three ratios.

Paper:    Xi et al., GPA, ACM MM 2024, Table 4.
Expected: the paper's numbers are in the headers of the configs; not measured
          by this project.
Cost:     10 cells of 200 epochs; not measured by this project.
Command:  TEACHER=mae_pretrain_vit_base.pth \
              python tools/study.py configs/studies/gpa_table4_vitb.py \
              --data-root /path/to/imagenet --processes 8
"""
_base_ = './gpa_table1_vitb.py'

axes = {
    '_delete_': True,
    'hard': {
        '0 to 0.5': {'model.masker.hard': (0., .5)},
        '0 to 0': {'model.masker.hard': (0., 0.)},
        '0 to 1': {'model.masker.hard': (0., 1.)},
        '1 to 1': {'model.masker.hard': (1., 1.)},
    },
    'ratio': [.75, .5, .9],
}
config = '../baselines/gpa_mae_vitb_200e.py'
exclude = [dict(hard='1 to 1', ratio=[.5, .9])]
baseline = dict(_delete_=True, hard='0 to 0')
figures = dict(
    finetune=dict(
        _delete_=True, kind='heat', x='hard', y='ratio',
        metric='finetune/last', label='fine-tuning top-1 [%]'))
