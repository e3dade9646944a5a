"""SimMIM with attention-driven masking (AM), ViT-B/16, 200 epochs.

30 of the 49 squares of 32 pixels are masked, drawn by the attention in the
stored maps; at random until epoch 40.

Paper:    Liu et al., *Good Helper Is around You: Attention-driven Masked
          Image Modeling*, AAAI 2023, Table 1 and 2, SimMIM+AM; batch and
          final learning rate are SimMIM's, as the paper does not give them.
Expected: 81.5 % fine-tuning top-1 (the paper's number, the same as with its
          random masking; not measured by this project).
Cost:     that of random masking and about 1 % for the maps, says the paper;
          not measured by this project.
Command:  DATA_ROOT=/path/to/imagenet \
              tools/dist_train.sh configs/simmim/simmim_vitb_am_200e.py 8
"""
_base_ = '../_base_/attention_maps_simmim.py'

model = dict(
    masker=dict(
        _delete_=True,
        type='sbam_mm.AM',
        ratio=0.6,
        warm_up_ratio=0.6,
        rounding='floor',
        cell=2))
