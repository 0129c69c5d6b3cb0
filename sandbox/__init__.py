"""Isolation for model-written programs.

This package imports nothing else of rlvr. Its Docker sandbox arrives with the code verifier (see CHANGELOG.md).
"""

if __name__ != "rlvr.sandbox":
    raise ImportError("import rlvr.sandbox, not sandbox: the bare name would load a second copy of every class")
