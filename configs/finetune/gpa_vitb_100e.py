"""Fine-tune ViT-B/16 for 100 epochs with GPA's layer decay of 0.8.

Paper:    GPA (guided masking by patch affinity, MM 2024): MAE's recipe,
          base learning rate 5e-4 at a batch of 1024, layer decay 0.8.
Expected: 83.2 % top-1 from GPA's 200-epoch encoder (the paper's number);
          not measured by this project.
Cost:     not measured by this project.
Command:  PRETRAINED=/path/to/encoder.pth DATA_ROOT=/path/to/imagenet \
              tools/dist_train.sh configs/finetune/gpa_vitb_100e.py 8
"""
_base_ = './vitb_100e.py'

optim_wrapper = dict(paramwise_cfg=dict(layer_decay_rate=0.8))
