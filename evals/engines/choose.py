"""From a name and what the user typed to an engine; only the one that is asked for is imported."""

import inspect
import json
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from importlib import import_module
from typing import Any

from ..errors import UsageError
from .types import Engine, EngineUnavailable

# name: (module, class, extra that installs what it imports)
_ENGINES = {
    "vllm": ("vllm", "VllmEngine", "vllm"),
    "openai": ("openai", "OpenAIEngine", "openai"),
    "transformers": ("transformers", "TransformersEngine", "transformers"),
}
ENGINES = tuple(_ENGINES)


def make_engine(name: str, model: str, options: Mapping[str, Any] | None = None) -> Engine:
    """An engine that has not started yet.

    `options` are the keyword arguments of its class; `vllm` hands those it does not know to vLLM's `AsyncEngineArgs`.
    Raises UsageError for an engine or an option that does not exist, EngineUnavailable for a library that is missing.
    """
    if name not in _ENGINES:
        raise UsageError(f"no engine {name!r}: choose from {', '.join(ENGINES)}")
    module, class_name, extra = _ENGINES[name]
    try:
        built = getattr(import_module(f".{module}", __package__), class_name)
    except ModuleNotFoundError as missing:
        raise EngineUnavailable(
            f"the {name} engine needs {missing.name}, which is not installed: pip install 'rlvr[{extra}]', or choose "
            f"another --backend ({', '.join(other for other in ENGINES if other != name)})"
        ) from missing
    except ImportError as broken:  # of a library that is there, such as vLLM without libcuda
        raise EngineUnavailable(f"the {name} engine's library does not load: {broken}") from broken
    given = dict(options or {})
    parameters = inspect.signature(built).parameters
    known = [key for key, one in parameters.items() if one.kind is one.KEYWORD_ONLY]
    passes_on = any(one.kind is one.VAR_KEYWORD for one in parameters.values())
    for key in given:
        if key not in known and not passes_on:
            close = get_close_matches(key, known, 1)
            meant = f" (did you mean {close[0]}?)" if close else ""
            raise UsageError(f"the {name} engine has no option {key}{meant}: it has {', '.join(known)}")
    return built(model, **given)


def parse_options(pairs: Iterable[str]) -> dict[str, Any]:
    """`key=value` as typed after `--engine-option`: a value that is JSON is read as such, everything else is text.

    Raises UsageError without an equals sign or for a key given twice.

    >>> parse_options(["enforce-eager=true", "max_model_len=4096", "dtype=float32"])
    {'enforce_eager': True, 'max_model_len': 4096, 'dtype': 'float32'}
    """
    options: dict[str, Any] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        key = key.strip().replace("-", "_")
        if not key or not equals:
            raise UsageError(f"--engine-option {pair!r}: write key=value")
        if key in options:
            raise UsageError(f"--engine-option {key} is given twice")
        try:
            options[key] = json.loads(value)
        except ValueError:
            options[key] = {"True": True, "False": False, "None": None}.get(value, value)
    return options
