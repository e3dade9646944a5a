"""Which head GPA asks.

Paper:    Xi et al., GPA, ACM MM 2024, Table 5: 82.31, 82.70, 82.34, 82.68 and
          82.73.
Expected: the paper's numbers are in the headers of the configs; not measured
          by this project.
Cost:     5 cells of 200 epochs; not measured by this project.
Command:  TEACHER=mae_pretrain_vit_base.pth \
              python tools/study.py configs/studies/gpa_table5_vitb.py \
              --data-root /path/to/imagenet --processes 8
"""
_base_ = './gpa_table1_vitb.py'

axes = {
    'config': {
        '_delete_': True,
        'first head': '../gpa/gpa_first_head_200e.py',
        'last head': '../gpa/gpa_last_head_200e.py',
        'all heads': '../gpa/gpa_all_heads_200e.py',
        '1 shot': '../gpa/gpa_1shot_head_200e.py',
        '10 and 50 shots': '../baselines/gpa_mae_vitb_200e.py',
    },
}
baseline = dict(config='first head')
