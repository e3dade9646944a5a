"""Fine-tune ViT-B/16 for 50 epochs, by the SBAM paper's only column.

Paper:    Choi et al., ECCV 2024, supplement Table 5, for Table 1: 50 epochs,
          base learning rate 1e-3, layer decay 0.75, batch 1024, weight decay
          0.05, 5 warm-up epochs. It is MAE's column for ViT-L, and the paper
          says of all its experiments that they follow it, so also of ViT-B;
          MAE's own for ViT-B is vitb_100e.py. Augmentation and drop path are
          not in the table: MAE's for ViT-B.
Expected: 82.9 % top-1 from MAE and 83.6 % from SBAM after 400 of 800 epochs
          (the paper's numbers); not measured by this project.
Cost:     not measured by this project.
Command:  PRETRAINED=/path/to/encoder.pth DATA_ROOT=/path/to/imagenet \
              tools/dist_train.sh configs/finetune/sbam_vitb_50e.py 8
"""
_base_ = './vitl_50e.py'

model = dict(
    backbone=dict(arch='base', drop_path_rate=0.1),
    head=dict(in_channels=768))
