"""One reward in the shape that each trainer asks for. Nothing here imports a trainer before it is used by it."""

from .areal import as_areal
from .judging import Judging, NotJudged
from .nemo_rl import as_nemo_rl
from .oat import as_oat
from .open_instruct import as_open_instruct
from .openrlhf import as_openrlhf
from .prime import as_prime, as_rubric
from .rllm import as_rllm
from .skyrl_gym import as_skyrl_gym
from .slime import as_slime
from .trl import as_trl
from .verl import as_verl

__all__ = [
    "Judging", "NotJudged", "as_areal", "as_nemo_rl", "as_oat", "as_open_instruct", "as_openrlhf", "as_prime",
    "as_rllm", "as_rubric", "as_skyrl_gym", "as_slime", "as_trl", "as_verl",
]  # fmt: skip
