"""AMT's masking and throwing on STL-10.

All arms but random masking and AM show the encoder 22 of 144 tokens; those
show it 36.

Paper:    none at this scale; Liu et al., AAAI 2023, Table 4, has ViT-B on
          Tiny ImageNet.
Expected: random masking 37.6 ± 2.2 % in kNN, all others behind; see
          docs/results.md.
Cost:     18 cells of 10 epochs, about 5 minutes each on one CPU core.
Command:  python tools/study.py configs/studies/small/amt_table4_stl10.py \
              --data-root data/stl10 --work-dir work_dirs/stl10 --jobs 2
"""
_base_ = './maskers_stl10.py'

config = '../../small/mae_stl10_small.py'
axes = dict(
    _delete_=True,
    masker={
        'random': 'random',
        'AM': 'am',
        'random throw': 'random-throw',
        'AMT 75/10': dict(name='amt-throw-last', ratio=.75, throw=.1),
        'AMT 45/40, last': 'amt-throw-last',
        'AMT 45/40': 'amt',
    })
