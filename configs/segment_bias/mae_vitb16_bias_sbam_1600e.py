"""SBAM hides the salient patches, segments guide attention.

The paper hides at random; SBAM's ratio is per image, so the encoder's segments
are packed with the visible tokens.

Paper:    Taguchi et al., BMVC 2024, and Choi et al., ECCV 2024; together in
          neither.
Expected: nothing to compare with. Not measured by this project.
Cost:     not stated; not measured by this project.
Command:  DATA_ROOT=/path/to/imagenet SEGMENTS=data/segments.npy \
          tools/dist_train.sh \
              configs/segment_bias/mae_vitb16_bias_sbam_1600e.py 8
"""
_base_ = './mae_vitb16_bias_1600e.py'

model = dict(
    masker=dict(
        type='sbam_mm.SBAM', delta_r=0.15, delta=0.1, noise=0.5,
        scope='sample'))
