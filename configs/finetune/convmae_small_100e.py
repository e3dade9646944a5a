"""Fine-tune ConvMAE-Small for 100 epochs, as GPA does.

The paper names 100 epochs for ConvMAE-S and one recipe for all: base rate
5e-4, batch 1024, layer decay 0.8; the rest is MAE's. The mean is taken of
normalised tokens, where the official ConvMAE normalises the mean. What fuses
the fine stages in pre-training has no part in it and no gradient.

Paper:    Xi et al., GPA, ACM MM 2024, section 4, section 4.3 and Table 10.
Expected: 80.0 % top-1 from ConvMAE-S, 82.4 from ConvMAE-S with GPA in the
          paper. Not measured by this project.
Cost:     not stated in the paper; not measured by this project.
Command:  PRETRAINED=/path/to/encoder.pth DATA_ROOT=/path/to/imagenet \
              tools/dist_train.sh configs/finetune/convmae_small_100e.py 8
"""
_base_ = './gpa_vitb_100e.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='sbam_mm.ConvViT',
        arch='small',
        img_size=224,
        patch_sizes=(4, 2, 2),
        drop_path_rate=0.1,
        out_indices=(2, )),
    neck=dict(_delete_=True, type='GlobalAveragePooling'),
    head=dict(in_channels=384))
find_unused_parameters = True
