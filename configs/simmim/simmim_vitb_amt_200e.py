"""SimMIM with masking and throwing (AMT), ViT-B/16, 200 epochs.

Of the 49 squares of 32 pixels 22 are masked, 13 thrown away and 14 visible:
144 of 196 tokens pass the encoder. Until epoch 40 masks are random, at 0.6.

Paper:    Liu et al., *Good Helper Is around You: Attention-driven Masked
          Image Modeling*, AAAI 2023, Table 1 and 2, SimMIM+AMT;
          "settings of pre-training follow the original works strictly", so
          batch, rates and layer scale are SimMIM's.
Expected: 80.7 % fine-tuning top-1 on ImageNet-1K, below the 81.5 of its random
          masking, and 75.8 on Tiny ImageNet (the paper's numbers; not
          measured by this project).
Cost:     0.76 x that of random masking, says the paper; not measured by this
          project.
Command:  DATA_ROOT=/path/to/imagenet \
              tools/dist_train.sh configs/simmim/simmim_vitb_amt_200e.py 8
"""
_base_ = './simmim_vitb_am_200e.py'

model = dict(masker=dict(type='sbam_mm.AMT', ratio=0.44, throw=0.26))
