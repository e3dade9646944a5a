"""ConvMAE-Base with SBAM: a ratio for every image, on the 14 x 14 grid.

The salience comes from the tokens that enter the transformer when nothing is
hidden; ``model.backbone.look_at='stage1'`` takes it from the averages of the
first embeddings and spares the extra pass. SBAM's paper does not try ConvMAE:
this is the project's choice.

Paper:    none; Choi et al., ECCV 2024, in Gao et al., NeurIPS 2022.
Expected: not measured by this project.
Cost:     convmae_base_800e.py's, and one pass without gradient through the
          two convolution stages. Not measured by this project.
Command:  DATA_ROOT=/path/to/imagenet \
              tools/dist_train.sh configs/convmae/convmae_base_sbam_800e.py 8
"""
_base_ = './convmae_base_800e.py'

model = dict(
    masker=dict(
        type='sbam_mm.SBAM', delta_r=0.15, delta=0.1, noise=0.5,
        scope='sample'))
