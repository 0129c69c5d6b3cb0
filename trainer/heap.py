"""Memory that is freed stays with the process: a training step takes and frees the same blocks again and again.

By default glibc hands large freed blocks back to the system, which gives them out anew page by page, each page cleared.
For a small model on a CPU that is a tenth of a step.
"""

import ctypes

# <malloc.h>
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_MOST = 32 * 2**20  # glibc maps larger blocks one by one whatever it is told


def keep_freed_memory() -> bool:
    """Of this process, from now on; False where the C library is not glibc, and nothing has changed."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    return bool(mallopt(_M_MMAP_THRESHOLD, _MOST) and mallopt(_M_TRIM_THRESHOLD, 2**31 - 1))
