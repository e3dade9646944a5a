"""MAE on STL-10 where a DINOv2 says what to hide: AttMask, by its own code.

TEACHER is a folder with a ViT of transformers (config.json, weights and
preprocessor_config.json), or the name of one on the Hugging Face hub: DINOv2
with or without registers, DINOv3, CLIP, MAE, I-JEPA and others; those without
a class token want an AttentionSalience with queries='all'. It sees 12 x 12
patches of its own size. Wants `pip install 'sbam_mm[hf]'`.

Paper:    none at this scale; the masker of Kakogeorgiou et al., ECCV 2022, who
          ask an iBOT teacher.
Expected: not measured by this project.
Cost:     the teacher's pass, without its last layers: of a ViT-S/14 about ten
          times the operations of the training itself.
Command:  TEACHER=facebook/dinov2-small DATA_ROOT=data/stl10 \
              .venv/bin/python tools/train.py \
              configs/small/mae_stl10_dinov2_teacher_small.py
"""
_base_ = './mae_stl10_small.py'

model = dict(
    teacher=dict(
        type='sbam_mm.HFTeacher',
        model='{{$TEACHER:facebook/dinov2-small}}'),
    masker=dict(
        _delete_=True,
        type='sbam_mm.AttMask',
        ratio=0.75,
        probability=1.))
