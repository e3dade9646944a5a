"""iBOT with SBAM, ViT-B/16, 100 epochs.

16 GPUs x 64 images = 1024. The ratio of each view is iBOT's mean +- delta_r,
half of the views stay whole; see ``sbam_mm.models.iBOT``.

Paper:    Choi et al., ECCV 2024, Table 1 and 3; delta_r = 0.15 and delta = 0.1
          are those of section 6.5, "universally applicable across all baseline
          methodologies". The base ratio and the share of whole views are not
          in the paper: iBOT's.
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
              tools/dist_train.sh configs/ibot/ibot_vitb_sbam_100e.py 8
"""
_base_ = './ibot_vitb_100e.py'

model = dict(
    masker=dict(
        _delete_=True,
        type='sbam_mm.MaskSomeViews',
        probability=0.5,
        masker=dict(
            type='sbam_mm.SBAM', ratio=0.3, delta_r=0.15, delta=0.1,
            noise=0.5, scope='sample')))
