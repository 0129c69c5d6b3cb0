"""One reward in the shape that each trainer asks for. Nothing here imports a trainer before it is used by it."""

from .judging import Judging, NotJudged
from .openrlhf import as_openrlhf
from .slime import as_slime
from .trl import as_trl
from .verl import as_verl

__all__ = ["Judging", "NotJudged", "as_openrlhf", "as_slime", "as_trl", "as_verl"]
