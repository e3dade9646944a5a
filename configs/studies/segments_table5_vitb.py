"""How the bias of segments is shared.

Cells are second phases; train the first ones before, by tools/train.py, which
leaves their checkpoints where these configs look for them.

Paper:    Taguchi et al., BMVC 2024, Table 5: 73.3, 72.8, 74.1, 74.6 and 77.1.
Expected: the paper's numbers are in the headers of the configs; not measured
          by this project.
Cost:     5 cells of 1600 or 200 epochs; not measured by this project.
Command:  SEGMENTS=data/segments.npy \
              python tools/study.py configs/studies/segments_table5_vitb.py \
              --data-root /path/to/imagenet --processes 8
"""
_base_ = './segments_table2_vitb.py'

axes = {
    'config': {
        '_delete_': True,
        'MAE': '../segment_bias/mae_vitb16_1600e.py',
        'fixed': '../segment_bias/mae_vitb16_distill_fixed_1600e.py',
        'shared': '../segment_bias/mae_vitb16_distill_shared_1600e.py',
        'per head': '../segment_bias/mae_vitb16_distill_head_1600e.py',
        'per head and layer': '../segment_bias/mae_vitb16_distill_1600e.py',
    },
}
