"""Encodes documents with a tokenizer, without a model's weights."""

from evalsuite.checkpoints import ModelFiles, resolve
from evalsuite.checkpoints.files import context_window
from evalsuite.engine.token_options import TokenOptions, refuse_missing_tokens
from evalsuite.engine.tokenizer import HuggingFaceTokenizer
from evalsuite.errors import ModelConfigError, UserError
from evalsuite.registry.selected import PreparedTask
from evalsuite.requests.build import build_requests
from evalsuite.requests.document import DocumentRequests


def encoded_with(
    prepared: PreparedTask, model: str | None, tokens: TokenOptions, trust_remote_code: bool = False
) -> tuple[HuggingFaceTokenizer, list[DocumentRequests]]:
    """The tokenizer of a model, or of `tokens`, and the requests of each document.

    Raises:
        UserError: neither is given, they cannot be read, or `--bos` needs a token that the tokenizer lacks.
    """
    if model is None and tokens.tokenizer is None:
        raise UserError("Showing tokens needs a tokenizer: give --tokenizer FOLDER or --model.")
    try:
        files = ModelFiles.elsewhere(tokens.tokenizer or "") if model is None else resolve(model)
    except ModelConfigError:
        raise UserError(
            f"Model '{model}' is a raw checkpoint, which has no tokenizer: give --tokenizer FOLDER in place "
            "of --model."
        ) from None
    window = tokens.window(None if model is None else context_window(files))
    tokenizer = tokens.make(files, trust_remote_code=trust_remote_code)
    user_bos = prepared.selected.spec.bos if prepared.selected.own_bos else None
    refuse_missing_tokens(tokenizer, user_bos, tokens.prefix_token)
    return tokenizer, build_requests(prepared, tokenizer, window if tokens.max_length else None, seed=0)
