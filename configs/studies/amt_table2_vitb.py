"""SimMIM with random masking, AM and AMT on Tiny ImageNet.

The images that are fine-tuned on: TINY_IMAGENET.

Paper:    Liu et al., AAAI 2023, Table 2: 74.0, 78.8, 75.8 and 75.1, and the
          costs.
Expected: the paper's numbers are in the headers of the configs; not measured
          by this project.
Cost:     4 cells of 200 epochs; not measured by this project.
Command:  python tools/study.py configs/studies/amt_table2_vitb.py \
              --data-root /path/to/imagenet --processes 8
"""
tiny = '{{$TINY_IMAGENET:data/tiny-imagenet-200}}'
axes = {
    'config': {
        'random': '../simmim/simmim_vitb_random_200e.py',
        'AM': '../simmim/simmim_vitb_am_200e.py',
        'AMT 44/26': '../simmim/simmim_vitb_amt_200e.py',
        'AMT 33/50': '../simmim/simmim_vitb_amt_50_200e.py',
    },
}
seeds = [0]
stages = [
    dict(protocol='finetune', options=['--data', tiny],
         settings=dict(config='configs/finetune/amt_simmim_vitb_100e.py')),
]
baseline = dict(config='random')
figures = dict(
    finetune=dict(kind='points', x='config', metric='finetune/last',
                  label='fine-tuning top-1 [%]'),
    cost=dict(kind='bars', x='config', metric='training/images_per_second',
              label='images per second'))
