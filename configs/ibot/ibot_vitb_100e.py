"""iBOT with its own block masking, ViT-B/16, 100 epochs: the baseline.

16 GPUs x 64 images = 1024.

Paper:    Zhou et al., ICLR 2022; as baseline in Choi et al., ECCV 2024,
          Table 1.
Expected: not measured by this project.
          The SBAM paper's Table 1, "fine-tuning accuracy", has 71.5 for
          iBoT (ViT-B) and 74.4 with SBAM, after 100 epochs (section 6.3).
          The rows of AttMask in its Table 3, 72.5 and 72.8, equal AttMask's
          k-NN accuracies of *ViT-S/16*, and iBOT's ViT-B fine-tunes to 84.0:
          neither metric nor backbone of these numbers is certain. Report
          k-NN and linear probe, and say which.
Cost:     not stated for 100 epochs; not measured by this project. 2 global
          and 10 local crops of an image are about 4 times the encoder's work
          on one whole image, the teacher's 2 more forward passes.
Command:  DATA_ROOT=/path/to/imagenet NNODES=2 \
              tools/dist_train.sh configs/ibot/ibot_vitb_100e.py 8
"""
_base_ = [
    '../_base_/models/ibot_vitb.py',
    '../_base_/datasets/multi_crop_224.py',
    '../_base_/schedules/ibot_100e.py',
]

# The official arguments of ViT-B are not in its repository. These are those
# of ViT-S with what is known to differ: the prototypes are frozen for 3
# epochs.
_base_.custom_hooks[-1].update(epochs=3)
