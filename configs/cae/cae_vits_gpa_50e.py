"""CAE, ViT-S/16, 50 epochs, with GPA's masks.

TEACHER names a pre-trained MAE ViT-B, here the official 1600-epoch weights.
The paper does not say at which ratio GPA runs in CAE; here at CAE's half. The
schedule is CAE's over 50 epochs; the paper names no other number.
DALLE_ENCODER as in cae_vits_300e.py.

Paper:    Xi et al., GPA, ACM MM 2024, Table 10, CAE-S.
Expected: 38.5 % k-NN top-1 in the paper (37.4 without GPA). Not measured by
          this project.
Cost:     not stated in the paper; not measured by this project.
Command:  DATA_ROOT=/path/to/imagenet DALLE_ENCODER=dalle_encoder.pth \
              TEACHER=mae_pretrain_vit_base.pth \
              tools/dist_train.sh configs/cae/cae_vits_gpa_50e.py 8
"""
_base_ = './cae_vits_gpa_300e.py'

max_epochs = 50
train_cfg = dict(max_epochs=max_epochs)
_base_.param_scheduler[1].update(T_max=40, end=max_epochs)
