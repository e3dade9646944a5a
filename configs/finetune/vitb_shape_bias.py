"""How much a fine-tuned ViT-B/16 goes by shape: predictions on cue conflicts.

Writes the CSV file that mmpretrain's shape_bias.py draws; see
docs/evaluation.md.

Paper:    Geirhos et al., ImageNet-trained CNNs are biased towards texture,
          ICLR 2019.
Expected: not measured by this project.
Cost:     1280 images, about a minute on a GPU; not measured by this project.
Command:  DATA_ROOT=/path/to/cue-conflict \
              .venv/bin/python tools/test.py \
              configs/finetune/vitb_shape_bias.py /path/to/finetuned.pth
"""
_base_ = './vitb_100e.py'

custom_hooks = []
test_dataloader = dict(
    # <category>/<shape>-<texture>.png: the categories are no classes.
    dataset=dict(data_prefix='', with_label=True))
test_evaluator = dict(
    _delete_=True,
    type='ShapeBiasMetric',
    csv_dir='work_dirs/shape_bias',
    model_name='vitb')
