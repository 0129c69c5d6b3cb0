"""Is this answer the same mathematics as that one? A ladder, cheapest rung first."""

from .verify import equivalent, verify_math

__all__ = ["equivalent", "verify_math"]
