# Copyright (c) OpenMMLab. All rights reserved.
"""Encoders beside the one that learns: frozen ones, and moving averages."""
from .clip_teacher import CLIPTeacher
from .hf_teacher import HFTeacher
from .library_teacher import LibraryTeacher
from .momentum import MomentumCopy
from .named_teachers import teacher_config
from .teacher_pass import TeacherPass
from .teachers import FrozenTeacher, MomentumTeacher, Teacher
from .timm_teacher import TimmTeacher

__all__ = [
    'CLIPTeacher', 'FrozenTeacher', 'HFTeacher', 'LibraryTeacher',
    'MomentumCopy', 'MomentumTeacher', 'Teacher', 'TeacherPass', 'TimmTeacher',
    'teacher_config'
]
