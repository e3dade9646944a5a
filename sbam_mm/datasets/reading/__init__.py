# Copyright (c) OpenMMLab. All rights reserved.
"""Files of images and of maps: finding them, reading them, decoding them."""
