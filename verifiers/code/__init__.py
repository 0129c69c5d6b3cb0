"""Code: the program in a completion, run in a sandbox against the tests of the problem."""

from .verify import verify_code

__all__ = ["verify_code"]
