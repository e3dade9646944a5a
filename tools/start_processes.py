#!/usr/bin/env python
# Copyright (c) OpenMMLab. All rights reserved.
"""torchrun, without its report where a process has said what is wrong.

Takes torchrun's arguments. The tools end with status 2 after their sentence;
after any other end torchrun tells what it knows.
"""
import logging
import sys

from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.run import main

if __name__ == '__main__':
    # What it says of a failed process is in the report, too.
    logging.getLogger('torch.distributed.elastic.multiprocessing.api'
                      ).setLevel(logging.CRITICAL)
    try:
        main()
    except ChildFailedError as error:
        if error.get_first_failure()[1].exitcode == 2:
            sys.exit(2)
        raise
