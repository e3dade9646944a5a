"""GPA as a teacher, and as teacher and feature.

Paper:    Xi et al., GPA, ACM MM 2024, Table 1: 82.23, 82.73 and 83.22.
Expected: the paper's numbers are in the headers of the configs; not measured
          by this project.
Cost:     3 cells of 200 epochs; not measured by this project.
Command:  TEACHER=mae_pretrain_vit_base.pth \
              python tools/study.py configs/studies/gpa_table1_vitb.py \
              --data-root /path/to/imagenet --processes 8
"""
axes = {
    'config': {
        'MAE': '../baselines/mae_vitb_200e.py',
        'GPA as teacher': '../baselines/gpa_mae_vitb_200e.py',
        'GPA as both': '../gpa/gpa_both_mae_vitb_200e.py',
    },
}
seeds = [0]
stages = [
    dict(protocol='finetune',
         settings=dict(config='configs/finetune/gpa_vitb_100e.py')),
]
baseline = dict(config='MAE')
figures = dict(
    finetune=dict(kind='points', x='config', metric='finetune/last',
                  label='fine-tuning top-1 [%]'))
