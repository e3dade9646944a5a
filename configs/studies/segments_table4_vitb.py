"""Positive and negative relations of segments.

Cells are second phases; train the first ones before, by tools/train.py, which
leaves their checkpoints where these configs look for them.

Paper:    Taguchi et al., BMVC 2024, Table 4: 73.3, 76.8, 74.1 and 77.1.
Expected: the paper's numbers are in the headers of the configs; not measured
          by this project.
Cost:     4 cells of 1600 or 200 epochs; not measured by this project.
Command:  SEGMENTS=data/segments.npy \
              python tools/study.py configs/studies/segments_table4_vitb.py \
              --data-root /path/to/imagenet --processes 8
"""
_base_ = './segments_table2_vitb.py'

axes = {
    'config': {
        '_delete_': True,
        'MAE': '../segment_bias/mae_vitb16_1600e.py',
        'positive': '../segment_bias/mae_vitb16_distill_positive_1600e.py',
        'negative': '../segment_bias/mae_vitb16_distill_negative_1600e.py',
        'both': '../segment_bias/mae_vitb16_distill_1600e.py',
    },
}
