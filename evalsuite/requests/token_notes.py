"""Notes on a tokenizer, for the run log."""

from collections.abc import Sequence

from evalsuite.engine.protocol import Tokenizer
from evalsuite.registry.selected import PreparedTask
from evalsuite.requests.document import DocumentRequests
from evalsuite.requests.token_ids import what_is_added
from evalsuite.types import ScoreRequest


def token_notes(
    prepared: PreparedTask, asked: Sequence[DocumentRequests], tokenizer: Tokenizer
) -> tuple[str, ...]:
    """Notes on the tokenizer: the tokens of letters that are encoded alone, and tokens that it appends."""
    notes: list[str] = []
    first = next((document for document in asked if document.requests), None)
    if first is None:
        return ()
    if prepared.selected.spec.join == "last_token":
        ids = [request.continuation[0] for request in first.requests if isinstance(request, ScoreRequest)]
        shown = ", ".join(f"{tokenizer.token_text(token)!r} ({token})" for token in ids)
        notes.append(f"Letters were scored by the tokens {shown}.")
    if first.prompt.bos == "tokenizer" and (appended := what_is_added(tokenizer).after):
        shown = " ".join(map(tokenizer.token_text, appended))
        notes.append(f"The tokenizer appends {shown} to every text; prompts and answers omit it.")
    return tuple(notes)
