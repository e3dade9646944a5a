# Copyright (c) OpenMMLab. All rights reserved.
"""What a user can put right."""


class UserError(ValueError):
    """A wrong option, file or batch; the message says what to change.

    The message is one sentence, and a tool prints it without a traceback.
    """
