"""Masking and throwing in MAE, probed on Tiny ImageNet.

The images that are probed on: TINY_IMAGENET.

Paper:    Liu et al., AAAI 2023, Table 4: 52.3, 50.1, 50.8, 51.7, 52.6 and
          53.3.
Expected: the paper's numbers are in the headers of the configs; not measured
          by this project.
Cost:     6 cells of 200 epochs; not measured by this project.
Command:  python tools/study.py configs/studies/amt_table4_vitb.py \
              --data-root /path/to/imagenet --processes 8
"""
_base_ = './amt_table2_vitb.py'

tiny = '{{$TINY_IMAGENET:data/tiny-imagenet-200}}'
axes = {
    'config': {
        '_delete_': True,
        'random': '../amt/mae_vitb_200e.py',
        'AM': '../amt/am_mae_vitb_200e.py',
        'random throw': '../amt/random_throw_mae_vitb_200e.py',
        'AMT 75/10': '../amt/amt_10_mae_vitb_200e.py',
        'AMT 45/40, last': '../amt/amt_last_mae_vitb_200e.py',
        'AMT 45/40': '../amt/amt_mae_vitb_200e.py',
    },
}
stages = [dict(protocol='linear', options=['--data', tiny])]
figures = dict(
    _delete_=True,
    linear=dict(kind='points', x='config', metric='linear/best',
                label='linear probe top-1 [%]'))
