"""Fine-tune ViT-B/16 for 100 epochs with GPA's layer decay of 0.8.

Paper:    Xi et al., GPA, ACM MM 2024, section 4: MAE's recipe (base learning
          rate 5e-4, batch 1024) with layer decay 0.8.
Expected: 82.73 % top-1 from an encoder of 200 epochs (the paper's number,
          MAE 82.23); not measured by this project.
Cost:     not measured by this project.
Command:  PRETRAINED=/path/to/encoder.pth DATA_ROOT=/path/to/imagenet \
              tools/dist_train.sh configs/finetune/gpa_vitb_100e.py 8
"""
_base_ = './vitb_100e.py'

optim_wrapper = dict(paramwise_cfg=dict(layer_decay_rate=0.8))
