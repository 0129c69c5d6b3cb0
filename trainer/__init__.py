"""GRPO training with verifiers as rewards.

Read `grpo.py` first, then `losses.py`; `GRPO.md` goes from the equation to the line.
"""

if __name__ != "rlvr.trainer":
    raise ImportError("import rlvr.trainer, not trainer: the bare name would load a second copy of every class")
