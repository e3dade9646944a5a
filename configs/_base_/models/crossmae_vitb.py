"""CrossMAE with ViT-B/16: decoder 12 blocks, a third of the masked patches."""
_base_ = './mae_vitb.py'

model = dict(
    neck=dict(
        type='sbam_mm.CrossDecoder',
        decoder_depth=12,
        # Inter-block attention to all of the encoder.
        looks_at=['input', *range(12)],
        # 0.25 of all patches where 0.75 are masked.
        prediction=1 / 3))
