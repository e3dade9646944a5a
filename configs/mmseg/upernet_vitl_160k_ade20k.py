"""UperNet with ViT-L/16 on ADE20K, 160k steps, MAE's recipe.

Paper:    He et al., CVPR 2022, appendix A.4 and Table 5, UperNet with ViT-L.
          Also for Choi et al., ECCV 2024, supplement Table 3, which names no
          recipe of its own.
Expected: 53.6 mIoU from MAE's 1600 epochs (the paper's number); SBAM from 800
          epochs 53.5, MAE from 800 epochs 52.7 (Choi et al., ECCV 2024,
          supplement, Table 3); not measured by this project.
Cost:     not stated in the paper; not measured by this project.
Command:  CHECKPOINT=/path/to/encoder.pth DATA_ROOT=/path/to/ade20k \
          tools/dist_train.sh configs/mmseg/upernet_vitl_160k_ade20k.py 8
"""
_base_ = './upernet_vitb_160k_ade20k.py'

# Depths and drop path are those of mmsegmentation's BEiT-L, which has rate
# 2e-5, layer decay 0.95, 3,000 steps of warm-up and 640 pixels. The paper
# names none for ViT-L: here layer decay 0.8, and ViT-B's in all else.
width = 1024
model = dict(
    backbone=dict(
        arch='large', out_indices=[7, 11, 15, 23], drop_path_rate=0.2),
    neck=dict(embed_dim=width),
    decode_head=dict(in_channels=[width] * 4, channels=width),
    auxiliary_head=dict(in_channels=width))
optim_wrapper = dict(paramwise_cfg=dict(layer_decay_rate=0.8))
