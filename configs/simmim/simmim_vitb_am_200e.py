"""SimMIM with attention-driven masking (AM), ViT-B/16, 200 epochs.

30 of the 49 squares of 32 pixels are masked, drawn by the attention in the
stored maps; at random until epoch 40.

Paper:    Liu et al., AAAI 2023, Table 1 and 2, SimMIM+AM; "settings of
          pre-training follow the original works strictly", so batch, rates and
          layer scale are SimMIM's.
Expected: 81.5 % fine-tuning top-1 on ImageNet-1K, as with random masking, and
          78.8 on Tiny ImageNet (the paper's numbers; not measured by this
          project).
Cost:     that of random masking and about 1 % for the maps, says the paper;
          not measured by this project.
Command:  DATA_ROOT=/path/to/imagenet \
              tools/dist_train.sh configs/simmim/simmim_vitb_am_200e.py 8
"""
_base_ = [
    '../_base_/attention_maps_runtime.py',
    '../_base_/models/simmim_vitb_absolute.py',
    '../_base_/datasets/attention_maps_224_simmim.py',
    '../_base_/schedules/simmim_200e.py',
]

model = dict(masker=dict(type='sbam_mm.AM', warm_up_ratio=0.6))
