"""The depth of the decoder with MAE and with SBAM, ViT-L/16.

Paper:    Choi et al., ECCV 2024, supplement Fig. 4: after 400 of 800 epochs;
          of the depths on its axis the text names only 4 and 8.
Expected: the paper's numbers are in the headers of the configs; not measured
          by this project.
Cost:     10 cells of 800 epochs; not measured by this project.
Command:  python tools/study.py configs/studies/sbam_supplement_fig4_vitl.py \
              --data-root /path/to/imagenet --processes 8
"""
axes = {
    'config': dict(MAE='../baselines/mae_vitl_800e.py',
                   SBAM='../sbam_mae_vitl_800e.py'),
    'model.neck.decoder_depth': [1, 2, 4, 8, 12],
}
seeds = [0]
stages = [
    dict(protocol='finetune', at=[.5],
         settings=dict(config='configs/finetune/vitl_50e.py')),
    dict(protocol='linear', at=[.5]),
]
baseline = dict(config='MAE')
figures = dict(
    finetune=dict(kind='lines', x='model.neck.decoder_depth',
                  by='config', metric='finetune/last',
                  label='fine-tuning top-1 [%]'),
    linear=dict(kind='lines', x='model.neck.decoder_depth',
                by='config', metric='linear/best',
                label='linear probe top-1 [%]'),
)
