# Copyright (c) OpenMMLab. All rights reserved.
"""Figures of segments, and of what they did to attention."""
