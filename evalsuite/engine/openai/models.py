"""A server's description of its models (`/models`), and the parts of it that identify a model."""

from typing import Any

from evalsuite.engine.openai.http import Refused, Server, Unanswered, Unreachable
from evalsuite.engine.openai.settings import KEY_VARIABLES, Settings
from evalsuite.errors import ModelError, UnknownName
from evalsuite.types import sha256_of

LASTING = ("id", "owned_by", "root", "parent", "meta")
"""Fields that change only with the weights; not `created`: vLLM and llama.cpp set it at each request."""

WINDOWS = ("max_model_len", "max_context_length", "context_length", "context_window", "n_ctx", "n_ctx_train")
"""Fields with the context window (vLLM, LM Studio, Together and OpenRouter, Groq, llama.cpp)."""

MODELS_SHOWN = 8


async def served_model(server: Server, name: str) -> dict[str, Any]:
    """The server's description of the model; only its name if the server lists no models.

    Raises:
        ModelError: the server is unreachable, or not OpenAI-compatible.
        UnknownName: the server has no such model.
    """
    url = server.settings.base_url
    try:
        answer = await server.get("/models")
    except Unreachable as error:
        raise ModelError(f"{_sentence(error)}: {error.advice}.") from None
    except Refused as error:
        if error.status in (401, 403):
            raise ModelError(
                f"The server at {url} requires a key ({error}): set {KEY_VARIABLES[0]} in the environment."
            ) from None
        if error.status in (404, 405, 501):
            return {"id": name}
        raise ModelError(f"{url} is no OpenAI-compatible server: {error}.") from None
    except Unanswered as error:
        raise ModelError(f"The server at {url} does not answer: {error}.") from None
    try:
        models = {str(model["id"]): dict(model) for model in answer["data"]}
    except (KeyError, TypeError, ValueError):
        raise ModelError(f"{url} is no OpenAI-compatible server: it lists no models.") from None
    if name not in models:
        known = ", ".join(sorted(models)[:MODELS_SHOWN]) or "none"
        more = f" and {len(models) - MODELS_SHOWN} more" if len(models) > MODELS_SHOWN else ""
        raise UnknownName("model", name, models, f"The server has {known}{more}.")
    return models[name]


def identity_of(served: dict[str, Any], settings: Settings) -> str:
    """SHA-256 over the server's description and its address, or over the user's name for the weights."""
    described = {key: served[key] for key in LASTING if served.get(key) is not None}
    return sha256_of(["openai", settings.weights or settings.base_url, described])


def window_of(served: dict[str, Any]) -> int | None:
    """The context window in tokens, if the server reports it."""
    meta = served.get("meta")
    levels: tuple[dict[str, Any], ...] = (served, meta if isinstance(meta, dict) else {})
    values = (level.get(key) for key in WINDOWS for level in levels)
    return next((value for value in values if type(value) is int and value > 0), None)


def _sentence(error: Exception) -> str:
    text = str(error)
    return text[:1].upper() + text[1:]
