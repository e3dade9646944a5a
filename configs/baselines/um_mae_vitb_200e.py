"""UM-MAE with ViT-B/16, 200 epochs: uniform and secondary masking.

One token of each 2 x 2 stays visible, and a quarter of these is covered by a
learnable token. The schedule is MAE's.

Paper:    Li et al., Uniform Masking: Enabling MAE Pre-training for Pyramid-
          based Vision Transformers with Locality, 2022; compared in Xi et al.,
          GPA, ACM MM 2024, Table 6.
Expected: 82.8 % fine-tuning top-1 in GPA's table (MAE 82.2). Not measured by
          this project.
Cost:     mae_vitb_200e.py's; not measured by this project.
Command:  DATA_ROOT=/path/to/imagenet \
              tools/dist_train.sh configs/baselines/um_mae_vitb_200e.py 8
"""
_base_ = '../amt/mae_vitb_200e.py'

model = dict(
    type='sbam_mm.UMMAE',
    masker=dict(_delete_=True, type='sbam_mm.UniformMasker'),
    secondary=0.25)
