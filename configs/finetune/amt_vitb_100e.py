"""Fine-tune ViT-B/16 on its class token, as AMT does with MAE.

Paper:    Liu et al., AAAI 2023, Table 1 (MAE rows) and section Setup: "the
          same settings as original works", "[CLS] token is used". So MAE's
          recipe, whose own default is the mean of the patch tokens; the class
          token has the encoder's pre-trained norm.
Expected: 82.6 % top-1 from random masking, 82.5 from AM, 82.8 from AMT, after
          400 epochs (the paper's numbers; not measured by this project).
Cost:     not measured by this project.
Command:  PRETRAINED=/path/to/encoder.pth DATA_ROOT=/path/to/imagenet \
              tools/dist_train.sh configs/finetune/amt_vitb_100e.py 8
"""
_base_ = './vitb_100e.py'

model = dict(backbone=dict(out_type='cls_token', final_norm=True))
