"""MAE on STL-10 that hides what a DINOv2 attends to, run by transformers.

TEACHER is a folder with a ViT of transformers (config.json, weights and
preprocessor_config.json), or the name of one on the Hugging Face hub: DINOv2
with or without registers, DINOv3, CLIP, MAE and others. Those without a class
token, such as SigLIP and I-JEPA, want queries='all'. It is asked once for each
image. Wants `pip install 'sbam_mm[hf]'`.

Paper:    none; see `mae_stl10_teacher_small.py`.
Expected: not measured by this project.
Cost:     as `mae_stl10_teacher_small.py`.
Command:  TEACHER=facebook/dinov2-small DATA_ROOT=data/stl10 \
              .venv/bin/python tools/train.py \
              configs/small/mae_stl10_dinov2_teacher_small.py
"""
_base_ = './mae_stl10_teacher_small.py'

maps, *others = _base_.custom_hooks
custom_hooks = [
    dict(
        maps,
        teacher=dict(
            type='sbam_mm.HFTeacher',
            model='{{$TEACHER:facebook/dinov2-small}}')),
    *others,
]
