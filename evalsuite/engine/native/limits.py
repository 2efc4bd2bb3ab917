"""The context window, and how much the native engine computes in one forward pass."""

import functools
from collections.abc import Iterable
from dataclasses import replace

from evalsuite.engine.native.model import NativeModel
from evalsuite.engine.native.sizes import Sizes
from evalsuite.engine.placement import Budget, default_budget
from evalsuite.engine.token_options import TokenOptions


class Limits:
    """The context window and the size limits of a forward pass; each is determined when it is first read.

    Args:
        model: the model.
        tokens: may set a shorter context window.
        token_budget: tokens of a forward pass when scoring; chosen for the device and its memory if None.
    """

    def __init__(self, model: NativeModel, tokens: TokenOptions, token_budget: int | None) -> None:
        self._model = model
        self._tokens = tokens
        self._token_budget = token_budget

    @functools.cached_property
    def max_length(self) -> int | None:
        """Context window in tokens; None where the configuration states none."""
        return self._tokens.window(self._model.window)

    @functools.cached_property
    def budget(self) -> Budget:
        """The size limits of a padded batch where memory is ample; parts of requests are cut by it."""
        budget = default_budget(self._model.device)
        return budget if self._token_budget is None else replace(budget, tokens=self._token_budget)

    @functools.cached_property
    def sizes(self) -> Sizes:
        """How much runs at a time: as given, else as much as fits into the memory of every process."""
        sizes = self._model.sizes_within(self.budget)
        given = self._token_budget
        return sizes if given is None else replace(sizes, pack_tokens=given, prefill_positions=given)

    @property
    def pack_tokens(self) -> int:
        """Tokens of a packed forward pass."""
        return self.sizes.pack_tokens

    @property
    def most_tokens(self) -> int:
        """Tokens of a packed forward pass where memory is ample."""
        from evalsuite.engine.native.sizes import MOST_TOKENS

        return self._token_budget or MOST_TOKENS

    def refuse_longer_than_window(self, lengths: Iterable[int]) -> None:
        """Raise ValueError if any of `lengths`, in tokens, exceeds the context window."""
        longest = max(lengths)
        if self.max_length is not None and longest > self.max_length:
            raise ValueError(f"A request needs {longest} tokens; the context window has {self.max_length}.")
