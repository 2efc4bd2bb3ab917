"""Options that override the model's tokenizer settings: `--tokenizer`, `--prefix-token`, `--max-length`."""

from dataclasses import dataclass

from evalsuite.checkpoints import ModelFiles
from evalsuite.checkpoints.locate_tokenizer import resolve_tokenizer
from evalsuite.engine.protocol import Tokenizer
from evalsuite.engine.tokenizer import HuggingFaceTokenizer
from evalsuite.errors import ModelError, UserError


@dataclass(frozen=True, slots=True)
class TokenOptions:
    """The user's overrides; None keeps the model's own."""

    tokenizer: str | None = None
    """Folder, alias or hub id of a tokenizer that replaces the model's."""
    prefix_token: str | None = None
    """The token put before a text without a context: as the vocabulary spells it, or its id."""
    max_length: int | None = None
    """A shorter context window than the model's, in tokens."""

    def files(self, model: ModelFiles) -> ModelFiles:
        """The tokenizer's files; raises ModelError where there are none."""
        if not self.tokenizer:
            return model
        try:
            return resolve_tokenizer(self.tokenizer)
        except ModelError as error:
            raise ModelError(f"--tokenizer {self.tokenizer}: {error}") from None

    def make(self, model: ModelFiles, *, trust_remote_code: bool) -> HuggingFaceTokenizer:
        """The tokenizer, not yet loaded; errors as in `files`."""
        return HuggingFaceTokenizer(
            self.files(model), trust_remote_code=trust_remote_code, prefix_token=self.prefix_token
        )

    def window(self, stated: int | None) -> int | None:
        """The context window in tokens of a model whose configuration states `stated`.

        Raises:
            UserError: `max_length` is below 1 or exceeds the model's context window.
        """
        if self.max_length is None:
            return stated
        if self.max_length < 1:
            raise UserError(f"--max-length must be at least 1, got {self.max_length}.")
        if stated is not None and self.max_length > stated:
            raise UserError(
                f"--max-length {self.max_length}: the model's context window has {stated} tokens; "
                "give at most that, or change its configuration."
            )
        return self.max_length


def refuse_missing_tokens(tokenizer: Tokenizer, bos: str | None, prefix_token: str | None) -> None:
    """Raise UserError if `--bos` or `--prefix-token` requires a token that the tokenizer does not have."""
    if prefix_token is not None:
        _ = tokenizer.prefix_id
    if bos == "always" and tokenizer.bos_id is None:
        raise UserError(
            "--bos always: the tokenizer has no BOS token; leave the option out, or name another "
            "tokenizer with --tokenizer."
        )


MODELS_OWN = TokenOptions()
"""No overrides: the model's own tokenizer, prefix token and context window."""
