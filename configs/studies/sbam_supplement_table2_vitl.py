"""After which block the salience is computed, and the time it takes.

Paper:    Choi et al., ECCV 2024, supplement Table 2: 85.1 at the input, 84.7
          after layer 1, 85.3 after 3, 85.2 after 5 (MAE 84.3).
Expected: the paper's numbers are in the headers of the configs; not measured
          by this project.
Cost:     5 cells of 800 epochs; not measured by this project.
Command:  python tools/study.py \
              configs/studies/sbam_supplement_table2_vitl.py \
              --data-root /path/to/imagenet --processes 8
"""
axes = {
    'arm': {
        'MAE': {'config': '../baselines/mae_vitl_800e.py'},
        **{
            f'layer {layer}': {
                'config': '../sbam_mae_vitl_800e.py',
                'model.masker.salience': dict(layer=layer),
            } for layer in (0, 1, 3, 5)
        },
    },
}
seeds = [0]
stages = [
    dict(protocol='finetune', at=[.5],
         settings=dict(config='configs/finetune/vitl_50e.py')),
]
baseline = dict(arm='MAE')
figures = dict(
    finetune=dict(kind='points', x='arm', metric='finetune/last',
                  label='fine-tuning top-1 [%]'),
    time=dict(kind='bars', x='arm', metric='training/images_per_second',
              label='images per second'))
