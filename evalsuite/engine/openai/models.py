"""What a server tells of its models (`/models`), and what of that identifies one."""

from typing import Any

from evalsuite.engine.openai.http import Refused, Server, Unanswered, Unreachable
from evalsuite.engine.openai.settings import KEY_VARIABLES, Settings
from evalsuite.errors import ModelError, UnknownName
from evalsuite.types import sha256_of

LASTING = ("id", "owned_by", "root", "parent", "meta")
"""What stays as long as the weights do. `created` does not: vLLM and llama.cpp give the time of the
question."""

WINDOWS = ("max_model_len", "max_context_length", "context_length", "context_window", "n_ctx", "n_ctx_train")
"""What servers call the context window (vLLM, LM Studio, Together and OpenRouter, Groq, llama.cpp)."""

SHOWN = 8


async def served_model(server: Server, name: str) -> dict[str, Any]:
    """What the server tells of the model; only its name where it tells nothing.

    Raises:
        ModelError: nobody is there, or it is no OpenAI-compatible server.
        UnknownName: it has no such model.
    """
    url = server.settings.base_url
    try:
        answer = await server.get("/models")
    except Unreachable as error:
        raise ModelError(f"{_sentence(error)}: {error.advice}.") from None
    except Refused as error:
        if error.status in (401, 403):
            raise ModelError(
                f"The server at {url} wants a key ({error}): set {KEY_VARIABLES[0]} in the environment."
            ) from None
        if error.status in (404, 405, 501):
            return {"id": name}
        raise ModelError(f"{url} is no OpenAI-compatible server: {error}.") from None
    except Unanswered as error:
        raise ModelError(f"The server at {url} cannot be asked: {error}.") from None
    try:
        models = {str(one["id"]): dict(one) for one in answer["data"]}
    except (KeyError, TypeError, ValueError):
        raise ModelError(f"{url} is no OpenAI-compatible server: it lists no models.") from None
    if name not in models:
        known = ", ".join(sorted(models)[:SHOWN]) or "none"
        more = f" and {len(models) - SHOWN} more" if len(models) > SHOWN else ""
        raise UnknownName("model", name, models, f"The server has {known}{more}.")
    return models[name]


def identity_of(served: dict[str, Any], settings: Settings) -> str:
    """SHA-256 over what the server tells and where it is, or the name that the user vouches with."""
    told = {key: served[key] for key in LASTING if served.get(key) is not None}
    return sha256_of(["openai", settings.weights or settings.base_url, told])


def window_of(served: dict[str, Any]) -> int | None:
    """The context window in tokens, if the server tells it."""
    meta = served.get("meta")
    places = (served, meta if isinstance(meta, dict) else {})
    values = (place.get(key) for key in WINDOWS for place in places)
    return next((value for value in values if type(value) is int and value > 0), None)


def _sentence(error: Exception) -> str:
    text = str(error)
    return text[:1].upper() + text[1:]
