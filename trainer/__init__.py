"""GRPO training with verifiers as rewards.

The only package that imports torch. The trainer itself arrives after the verifiers (see CHANGELOG.md).
"""

if __name__ != "rlvr.trainer":
    raise ImportError("import rlvr.trainer, not trainer: the bare name would load a second copy of every class")
