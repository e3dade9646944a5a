"""DINO, ViT-S/16, 100 epochs, nothing masked.

16 GPUs x 64 images = 1024. ``model.masker`` drops patches of the student's
global crops; see ``sbam_mm.models.DINO``.

Paper:    Caron et al., ICCV 2021.
Expected: not measured by this project; the paper's 100 epochs differ in crops
          and batch.
Cost:     as iBOT's, see ibot_vits_attmask_high_100e.py; not measured by this
          project.
Command:  DATA_ROOT=/path/to/imagenet NNODES=2 \
              tools/dist_train.sh configs/dino/dino_vits_100e.py 8
"""
_base_ = [
    '../_base_/models/dino_vits.py',
    '../_base_/datasets/multi_crop_224.py',
    '../_base_/schedules/ibot_100e.py',
]
