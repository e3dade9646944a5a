# Copyright (c) OpenMMLab. All rights reserved.
"""Maskers in the models of other libraries; see ``docs/use_with.md``.

Each file is for one library and imports nothing of the others: ``hf``
(transformers' ViTMAE), ``timm``, ``lightly``, ``stable_pretraining``, and
``packed``, where every image has its own ratio. ``attention`` lets a model of
either library say what to hide.
"""
