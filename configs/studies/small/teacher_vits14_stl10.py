"""Does it help to hide what a teacher sees that was trained on real images?

A ViT-S/14 (TEACHER, see `mae_stl10_teacher_small.py`) says what to hide: the
mean of the last block's heads, the head that sees objects best (2), the head
that sees the background (3), and the global patch-wise attention of GPA, in
its paper's block 9 and in the last. All arms but random masking select alike
and differ in their map alone. With another teacher rank its heads by
`tools/select_attention.py` first.

Paper:    none at this scale; Kakogeorgiou et al., ECCV 2022, and Xi et al.,
          GPA, ACM MM 2024, ask an iBOT teacher and a trained MAE.
Expected: nobody ahead of random masking (37.6 ± 2.2 % in kNN), GPA behind;
          docs/results.md has what was measured.
Cost:     21 cells of 10 epochs, about 5 minutes each on one CPU core, and
          three times as long for the first of each map, whose teacher looks
          at the 4,000 images.
Command:  TEACHER=vit_small_patch14.safetensors python tools/study.py \
              configs/studies/small/teacher_vits14_stl10.py \
              --data-root data/stl10 --work-dir work_dirs/stl10 --jobs 2
"""
_base_ = './maskers_stl10.py'

config = '../../small/mae_stl10_small.py'
maps = '../../small/mae_stl10_teacher_small.py'


def head(which):
    return {'config': maps, 'custom_hooks.0.head': which}


def gpa(block):
    return {
        'config': maps,
        'custom_hooks.0.block': block,
        'custom_hooks.0.queries': 'patches',
        'custom_hooks.0.softmax': False,
        'custom_hooks.0.own_query': False,
        'custom_hooks.0.head': 'sum',
    }


axes = {
    '_delete_': True,
    'arm': {
        'random': {'masker': 'random'},
        'centre': {'masker': 'centre'},
        'mean of heads': head('mean'),
        'GPA, block 9': gpa(9),
        'GPA, last block': gpa(-1),
        'head 2: objects': head(2),
        'head 3: background': head(3),
    },
}
baseline = dict(_delete_=True, arm='random')
figures = dict(
    knn=dict(x='arm'),
    linear=dict(x='arm'),
    convergence=dict(by='arm'),
    objects=dict(by='arm'))
