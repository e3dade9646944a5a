"""MAE, its first phase with segments, and the second.

Cells are second phases; train the first ones before, by tools/train.py, which
leaves their checkpoints where these configs look for them.

Paper:    Taguchi et al., BMVC 2024, Table 2: 73.3, 76.0 without maps and 77.1;
          the 77.2 with maps are tools/evaluate.py --segments on the first
          phase.
Expected: the paper's numbers are in the headers of the configs; not measured
          by this project.
Cost:     3 cells of 1600 or 200 epochs; not measured by this project.
Command:  SEGMENTS=data/segments.npy \
              python tools/study.py configs/studies/segments_table2_vitb.py \
              --data-root /path/to/imagenet --processes 8
"""
axes = {
    'config': {
        'MAE': '../segment_bias/mae_vitb16_1600e.py',
        'first phase': '../segment_bias/mae_vitb16_bias_1600e.py',
        'second phase': '../segment_bias/mae_vitb16_distill_1600e.py',
    },
}
seeds = [0]
stages = [dict(protocol='linear', options=['--classes', 'imagenet100'])]
baseline = dict(config='MAE')
figures = dict(
    linear=dict(kind='points', x='config', metric='linear/best',
                label='linear probe top-1 [%]'))
