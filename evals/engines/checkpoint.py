"""A model on this machine or on the hub: where it lies, and a prompt's exact text after its chat template."""

from pathlib import Path
from typing import Any, cast

from .quiet import patient_hub
from .types import EngineUnavailable, Prompt


def find_model(model: str, revision: str | None) -> tuple[str, str | None]:
    """(what to load, its commit): a folder has none, a hub model's is fetched or found in the cache.

    Raises EngineUnavailable for what is not there, is gated, or cannot be reached.
    """
    folder = Path(model).expanduser()
    if folder.is_dir():
        if not (folder / "config.json").exists():
            raise EngineUnavailable(f"{model} is a folder without config.json: give a Hugging Face checkpoint")
        return str(folder), None
    if folder.exists() or model.startswith((".", "/", "~")) or model.count("/") > 1:
        raise EngineUnavailable(f"there is no folder {model}")
    return model, _commit(model, revision)


def _commit(model: str, revision: str | None) -> str:
    import huggingface_hub  # comes with vLLM and with transformers
    from huggingface_hub import errors as hub

    at = f" at revision {revision}" if revision else ""
    try:
        with patient_hub():
            config: str = cast(Any, huggingface_hub).hf_hub_download(model, "config.json", revision=revision)
    except hub.GatedRepoError:
        raise EngineUnavailable(
            f"{model} is gated: accept its terms at https://huggingface.co/{model}, then set HF_TOKEN"
        ) from None
    except hub.RevisionNotFoundError:
        raise EngineUnavailable(f"{model} has no revision {revision}") from None
    except (hub.RepositoryNotFoundError, hub.HFValidationError):
        raise EngineUnavailable(
            f"{model} is neither a folder here nor a model on the hub (a private one needs HF_TOKEN)"
        ) from None
    except (hub.LocalEntryNotFoundError, hub.OfflineModeIsEnabled):
        raise EngineUnavailable(f"the hub cannot be reached and {model}{at} is not in the cache here") from None
    except hub.EntryNotFoundError:
        raise EngineUnavailable(f"{model}{at} has no config.json: it is not a checkpoint that can be loaded") from None
    except hub.HfHubHTTPError as refused:
        raise EngineUnavailable(f"the hub refused {model}: {str(refused).splitlines()[0]}") from None
    return Path(config).parent.name  # the cache lies under snapshots/<commit>/


def render_prompt(tokenizer: Any, prompt: Prompt) -> str:
    """The text the model continues. A prefix that the template has already written is not written again.

    Raises EngineUnavailable for messages where the model has no chat template.
    """
    if not prompt.messages:
        return prompt.text + prompt.prefix
    if not tokenizer.chat_template:
        raise EngineUnavailable("this model has no chat template: choose a prompt that is plain text, such as r1-zero")
    text: str = tokenizer.apply_chat_template(
        [dict(message) for message in prompt.messages], tokenize=False, add_generation_prompt=True
    )
    return text + _missing(text, prompt.prefix)


def _missing(text: str, prefix: str) -> str:
    """R1's own templates end in `<think>` or `<think>\\n`; what of `prefix` is not there yet.

    >>> _missing("<|Assistant|><think>", "<think>\\n"), _missing("<|Assistant|>", "<think>\\n")
    ('\\n', '<think>\\n')
    """
    for written in (prefix, prefix.rstrip()):
        if written and text.endswith(written):
            return prefix[len(written) :]
    return prefix


def encode_prompt(tokenizer: Any, prompt: Prompt) -> list[int]:
    """Token ids of `render_prompt`. A chat template writes its own special tokens; plain text gets the tokenizer's."""
    ids: list[int] = tokenizer.encode(render_prompt(tokenizer, prompt), add_special_tokens=not prompt.messages)
    return ids
