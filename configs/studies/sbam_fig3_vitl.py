"""Robustness to the masking ratio at scale: MAE and SBM, ViT-L/16.

P is the fine-tuning accuracy after 400 epochs of each training of 800. All
maskers keep the same number of patches, rounded down as in MAE's code.

Paper:    Choi et al., ECCV 2024, Fig. 3: MAE and SBM, PIMR and Global
          PIMR. It prints neither values nor ratios; these ratios are this
          project's choice.
Expected: not measured by this project.
Cost:     8 cells of 800 epochs, each of them mae_vitl_800e.py's, and their
          fine-tuning; not measured by this project.
Command:  python tools/study.py configs/studies/sbam_fig3_vitl.py \
              --data-root /path/to/imagenet --processes 8
"""
config = '../baselines/mae_vitl_800e.py'
axes = dict(masker=['random', 'sbm'], ratio=[.45, .6, .75, .9])
seeds = [0]
rounding = 'floor'
stages = [
    dict(protocol='finetune', at=[.5],
         settings=dict(config='configs/finetune/vitl_50e.py')),
]
figures = dict(
    fig3=dict(kind='pimr', x='ratio', by='masker',
              metric='finetune/last', label='fine-tuning top-1 [%]'))
