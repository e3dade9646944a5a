"""Fine-tune ViT-B/16 for 100 epochs as CMAE does: MAE's recipe.

Paper:    Huang et al., Contrastive Masked Autoencoders, 2022; the official
          repository's file for ViT-B has MAE's numbers: base learning rate
          5e-4, batch 1024, layer decay 0.65, drop path 0.1, 5 warm-up epochs.
          Also for Choi et al., ECCV 2024, Table 1, which keeps "the baseline
          method's hyperparameters" (section 6.1).
Expected: 83.8 % top-1 from CMAE's 300 epochs (its authors' number); not
          measured by this project.
Cost:     not measured by this project.
Command:  PRETRAINED=/path/to/cmae.pth DATA_ROOT=/path/to/imagenet \
              tools/dist_train.sh configs/finetune/cmae_vitb_100e.py 8
"""
_base_ = './vitb_100e.py'
