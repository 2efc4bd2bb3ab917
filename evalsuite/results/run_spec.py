"""What a run was asked for: the part of the run log that is known before anything is computed.

Public names: `RunSpec`, `RunLogPart`.
"""

from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict

from evalsuite.data.local_texts import LocalTexts
from evalsuite.data.subset import Subset
from evalsuite.types import Bos


class RunLogPart(BaseModel):
    """A value of the run log: immutable, without unknown fields."""

    # JSON has neither NaN nor infinity: pydantic would write null, which cannot be read back as a number.
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class RunSpec(RunLogPart):
    """The settings that define a run: the same spec in the same folder is the same run."""

    tasks: tuple[str, ...]
    """Full addresses."""
    suites: tuple[str, ...] = ()
    """Suites whose tasks are among them."""
    model: str
    revision: str | None = None
    configuration: str | None = None
    """Folder, alias or hub id with the configuration and tokenizer of a raw checkpoint."""
    adapter: str | None = None
    """Folder of a PEFT adapter that is applied to the model."""
    split: str | None = None
    limit: int | None = None
    sample: int | None = None
    """Number of documents drawn at random, with the seed."""
    seed: int = 0
    engine: str = "native"
    dtype: str = "auto"
    device: str = "auto"
    trust_remote_code: bool = False
    allow_data_drift: bool = False
    logits_dtype: Literal["float32", "model"] = "float32"
    tokenizer: str | None = None
    """Folder, alias or hub id of a tokenizer in place of the model's."""
    bos: Bos | None = None
    """Whether a BOS token begins each prompt, in place of the prompt specs' choice."""
    prefix_token: str | None = None
    """Token (as in the vocabulary) or token id that precedes a text without a context."""
    max_length: int | None = None
    """Context window in tokens, shorter than the model's."""
    text: tuple[str, ...] = ()
    """Files and folders of the texts that task `text` scores."""
    text_field: str = "text"
    """Field of the text in JSON lines and Parquet."""
    text_domain: str | None = None
    """Field of the text's domain."""
    stride: int | None = None
    """Tokens that each window of a held-out text scores; by default all but one of the window."""
    engine_args: tuple[str, ...] = ()
    """Engine settings that can change an answer, each `NAME=VALUE`, sorted."""

    ADDED_LATER: ClassVar[frozenset[str]] = frozenset(
        {
            "suites",
            "configuration",
            "adapter",
            "sample",
            "tokenizer",
            "bos",
            "prefix_token",
            "max_length",
            "text",
            "text_field",
            "text_domain",
            "stride",
        }
    )
    """Fields that version 0.1.0 lacks; hashed only if set, so that its folders keep their names."""

    @property
    def content(self) -> dict[str, Any]:
        """The fields that hashes of the spec cover."""
        unset = {
            name for name in self.ADDED_LATER if getattr(self, name) == type(self).model_fields[name].default
        }
        return self.model_dump(mode="json", exclude=unset)

    @property
    def subset(self) -> Subset:
        """The documents of each task to evaluate."""
        return Subset(self.limit, self.sample, self.seed)

    @property
    def texts(self) -> LocalTexts | None:
        """The user's own texts, if the run has any."""
        return LocalTexts(self.text, self.text_field, self.text_domain) if self.text else None

    def continues(self, earlier: "RunSpec") -> bool:
        """Whether this spec differs from `earlier` at most by covering more documents."""
        if self.model_copy(update={"limit": earlier.limit, "sample": earlier.sample}) != earlier:
            return False
        whole = self.limit is None and self.sample is None
        return whole or (_grows(earlier.limit, self.limit) and _grows(earlier.sample, self.sample))


def _grows(before: int | None, after: int | None) -> bool:
    return before == after or (before is not None and after is not None and before <= after)
