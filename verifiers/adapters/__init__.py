"""One reward in the shape that each trainer asks for. Nothing here imports a trainer before it is used by it."""

from .judging import Judging, NotJudged
from .trl import as_trl

__all__ = ["Judging", "NotJudged", "as_trl"]
