"""SBM and MAE over the epochs, ViT-L/16.

Paper:    Choi et al., ECCV 2024, Fig. 4: after 200, 400, 600 and 800 epochs of
          800.
Expected: the paper's numbers are in the headers of the configs; not measured
          by this project.
Cost:     2 cells of 800 epochs, each fine-tuned and probed four times; not
          measured by this project.
Command:  python tools/study.py configs/studies/sbam_fig4_vitl.py \
              --data-root /path/to/imagenet --processes 8
"""
axes = dict(
    config=dict(MAE='../baselines/mae_vitl_800e.py',
                SBM='../sbm_mae_vitl_800e.py'))
seeds = [0]
stages = [
    dict(protocol='finetune', at=[.25, .5, .75, 1.],
         settings=dict(config='configs/finetune/vitl_50e.py')),
    dict(protocol='linear', at=[.25, .5, .75, 1.]),
]
baseline = dict(config='MAE')
figures = dict(
    finetune=dict(kind='lines', x='epoch', by='config', metric='finetune/last',
                  label='fine-tuning top-1 [%]'),
    linear=dict(kind='lines', x='epoch', by='config', metric='linear/best',
                label='linear probe top-1 [%]'),
)
