"""Evaluation: the `rlvr` command, offline scoring, statistics and reports."""

if __name__ != "rlvr.evals":
    raise ImportError("import rlvr.evals, not evals: the bare name would load a second copy of every class")
