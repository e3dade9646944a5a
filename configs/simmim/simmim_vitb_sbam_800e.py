"""SimMIM with SBAM: salience per square of 32 pixels, a ratio per image.

The salience of the 196 tokens is averaged over squares of 2 x 2; a square
above delta is salient. The ratio ranges over SimMIM's 0.6 +- 0.15. SBAM's
paper does not try SimMIM: squares, base ratio and range are this project's
choice. ``masker.cell=1`` masks single tokens.

Paper:    none; Choi et al., ECCV 2024, in Xie et al., CVPR 2022.
Expected: not measured by this project.
Cost:     simmim_vitb_800e.py's, and the salience's product of 196 x 196.
          Not measured by this project.
Command:  DATA_ROOT=/path/to/imagenet \
              tools/dist_train.sh configs/simmim/simmim_vitb_sbam_800e.py 8
"""
_base_ = './simmim_vitb_800e.py'

model = dict(
    masker=dict(
        _delete_=True,
        type='sbam_mm.SBAM', ratio=0.6, delta_r=0.15, delta=0.1, noise=0.5,
        scope='sample', cell=2))
