"""Robustness of attention-based masking at scale, ViT-L/16.

P is the fine-tuning accuracy after 400 epochs of each training of 800. All
maskers keep the same number of patches, rounded down as in MAE's code.

"incoming" is the paper's reading of AMT, row sums of the affinity; SBAM is
without its adaptive ratio, which would be another one for every image.

Paper:    Choi et al., ECCV 2024, supplement Fig. 2: "performance at the
          intermediate 400 epochs of an 800-epoch schedule" of MAE, AMT and
          SBAM in MAE's framework. It prints neither values nor ratios nor
          backbone; ratios and backbone are this project's choice.
Expected: not measured by this project.
Cost:     12 cells of 800 epochs, each of them mae_vitl_800e.py's, and their
          fine-tuning; not measured by this project.
Command:  python tools/study.py configs/studies/sbam_supplement_fig2_vitl.py \
              --data-root /path/to/imagenet --processes 8
"""
_base_ = './sbam_fig3_vitl.py'

axes = dict(masker=['random', 'incoming', 'sbam'])
