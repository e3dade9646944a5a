"""SBAM's noise, range and threshold, one at a time, ViT-L/16.

The values beside the paper's are this project's choice.

Paper:    Choi et al., ECCV 2024, Fig. 7; it prints no values but the best:
          noise 0.5, delta_r 0.15 and delta 0.1.
Expected: the paper's numbers are in the headers of the configs; not measured
          by this project.
Cost:     10 cells of 800 epochs; not measured by this project.
Command:  python tools/study.py configs/studies/sbam_fig7_vitl.py \
              --data-root /path/to/imagenet --processes 8
"""
config = '../sbam_mae_vitl_800e.py'
axes = {
    'model.masker.noise': [0, .25, .5, 1],
    'model.masker.delta_r': [.05, .1, .15, .2],
    'model.masker.delta': [.05, .1, .2, .3],
}
around = {
    'model.masker.noise': .5,
    'model.masker.delta_r': .15,
    'model.masker.delta': .1,
}
seeds = [0]
stages = [
    dict(protocol='finetune', at=[.25, .5, .75, 1.],
         settings=dict(config='configs/finetune/vitl_50e.py')),
    dict(protocol='linear', at=[.5]),
]
figures = {
    'randomness': dict(
        kind='lines', x='epoch', by='model.masker.noise',
        metric='finetune/last', label='fine-tuning top-1 [%]'),
    # At epoch 400 of 800.
    **{
        short: dict(
            kind='lines', x=['model.masker.delta_r', 'model.masker.delta'],
            at=400, metric=metric, label=label)
        for short, metric, label in (
            ('finetune', 'finetune/last', 'fine-tuning top-1 [%]'),
            ('linear', 'linear/best', 'linear probe top-1 [%]'))
    },
}
