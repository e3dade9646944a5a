"""GPA's soft masks at three ratios.

Paper:    Xi et al., GPA, ACM MM 2024, Table 3.
Expected: the paper's numbers are in the headers of the configs; not measured
          by this project.
Cost:     10 cells of 200 epochs; not measured by this project.
Command:  TEACHER=mae_pretrain_vit_base.pth \
              python tools/study.py configs/studies/gpa_table3_vitb.py \
              --data-root /path/to/imagenet --processes 8
"""
_base_ = './gpa_table1_vitb.py'

axes = {
    '_delete_': True,
    'soft': {
        '0.5 to 0': {'model.masker.soft': (.5, 0.)},
        '0 to 0': {'model.masker.soft': (0., 0.)},
        '1 to 0': {'model.masker.soft': (1., 0.)},
        '1 to 1': {'model.masker.soft': (1., 1.)},
    },
    'ratio': [.75, .5, .9],
}
config = '../baselines/gpa_mae_vitb_200e.py'
exclude = [dict(soft='1 to 0', ratio=[.5, .9])]
baseline = dict(_delete_=True, soft='0 to 0')
figures = dict(
    finetune=dict(
        _delete_=True, kind='heat', x='soft', y='ratio',
        metric='finetune/last', label='fine-tuning top-1 [%]'))
