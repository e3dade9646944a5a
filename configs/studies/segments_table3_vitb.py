"""Segments of 8 x 8, 16 x 16 and 32 x 32 points.

Maps of each number of points, and first phases trained with each, come first;
docs/papers.md has their commands.

Paper:    Taguchi et al., BMVC 2024, Table 3: 76.6, 77.0 and 77.1.
Expected: the paper's numbers are in the headers of the configs; not measured
          by this project.
Cost:     3 cells of 200 epochs; not measured by this project.
Command:  python tools/study.py configs/studies/segments_table3_vitb.py \
              --data-root /path/to/imagenet --processes 8
"""
_base_ = './segments_table2_vitb.py'

# What was made with each number of points.
axes = {
    '_delete_': True,
    'points': {
        f'{points} x {points}': {
            'config': '../segment_bias/mae_vitb16_distill_1600e.py',
            'model.teacher.checkpoint':
            f'work_dirs/mae_vitb16_bias_{points}/epoch_1600.pth',
            'train_dataloader.dataset.pipeline.2.path':
            f'data/segments_{points}.npy',
        } for points in (8, 16, 32)
    },
}
baseline = dict(_delete_=True, points='32 x 32')
figures = dict(linear=dict(x='points'))
