"""Which forms of computation are right for a model, by trials or remembered ones; and its identity."""

import functools
from dataclasses import replace
from importlib import metadata
from typing import TYPE_CHECKING

from evalsuite.engine.native import cpu, deterministic
from evalsuite.engine.native.fit_trees import ROWS_DEPEND, unsupported_reason
from evalsuite.engine.native.model import NativeModel
from evalsuite.engine.native.models.packages import mixers_word
from evalsuite.engine.native.paths import PARTS, PLAIN, Paths, fastest, usable
from evalsuite.engine.native.trials.forms import BATCHES, PACKED, SLOTS, Forms, remember, remembered
from evalsuite.engine.placement import ROUNDED_SCORES, SPREAD, device_name, reduced_float32
from evalsuite.engine.tokenizer import HuggingFaceTokenizer
from evalsuite.errors import ModelError
from evalsuite.types import ModelIdentity, sha256_of

if TYPE_CHECKING:
    from evalsuite.engine.native.trials.fit import Fit

TRIALS = 4
"""Raised when the trials find more, so that forms which earlier trials found right are tried again."""
REMOTE_CODE = "remote-code"
"""Word of a class of numerics: the folder's own code ran, although transformers may implement the model."""
AS_ASKED = "as asked"
BY_LENGTH = "by-length"
"""Word of a class of numerics: only rows whose lengths are rotated alike (`rope`) are computed together."""


class TriedModel:
    """A model and the forms of computation that pass its trials; the constructor reads nothing.

    Args:
        model: the model to try.
        tokenizer: its digest is part of the identity.
    """

    def __init__(self, model: NativeModel, tokenizer: HuggingFaceTokenizer) -> None:
        self.model = model
        self._tokenizer = tokenizer

    @functools.cached_property
    def identity(self) -> ModelIdentity:
        """What the answers depend on; loads the weights if no trials of this model are remembered."""
        weights, tokenizer = self._digests()  # before the trials read the files
        identity = ModelIdentity(weights, tokenizer, self.numerics(self.forms))
        self.model.told_weights = weights
        return identity

    @property
    def expected_identity(self) -> ModelIdentity:
        """The part of `identity` that is known without loading the weights."""
        return ModelIdentity(*self._digests(), self.numerics(self.expected_forms))

    def _digests(self) -> tuple[str, str]:
        """Digests of the weights and of the tokenizer."""
        verify = self.model.options.verify_weights
        return self.model.weights, self._tokenizer.digest(verify=verify)

    def numerics(self, forms: Forms | None) -> str:
        """The class of numerics: engine, data type, kind of device, the forms, and on a GPU the paths.

        Without forms, the part of the class that is known before any trial.
        """
        model = self.model
        parts = ["transformers", model.dtype, model.device.partition(":")[0]]
        parts += cpu.numerics_words(model.device, model.dtype)
        parts += (*forms.words, *self._path_words(forms.paths)) if forms else ()
        if model.expected_lengths:
            parts.append(BY_LENGTH)
        if model.options.spread:
            parts.append(SPREAD)
        if model.options.deterministic:
            parts.append(deterministic.SETTING)
        if model.options.trust_remote_code and "auto_map" in model.config:
            parts.append(REMOTE_CODE)
        in_float32 = model.dtype == "float32" or model.device == "cpu"  # at least in part
        if in_float32 and (reduced := reduced_float32()):
            parts.append(reduced)
        if model.options.logits_dtype == "model":
            parts.append(ROUNDED_SCORES)
        return " ".join([*parts, *model.processes.numerics])

    def _path_words(self, paths: Paths) -> tuple[str, ...]:
        """On a GPU: what computes each part, torch's minor version, and the packages that the model calls.

        None on a CPU, where torch computes everything.
        """
        on_gpu = self.model.device.startswith("cuda")
        if paths == PLAIN and not on_gpu:
            return ()
        version = ".".join(metadata.version("torch").split(".")[:2])
        own = mixers_word(self.model.config, self.model.device)
        return (*paths.words, *([own] if own else []), f"torch-{version}")

    @functools.cached_property
    def wanted_paths(self) -> Paths:
        """For each part the fastest implementation that the device can run and the options allow; untried."""
        model = self.model
        paths = fastest(model.device, model.dtype)
        # Processes that may not retry may not capture, either: both must happen alike in all processes.
        if not (model.options.graphs and model.processes.retries):
            return paths.plain_in("graphs")
        return paths.plain_in("graphs") if model.options.deterministic or model.options.spread else paths

    @functools.cached_property
    def forms(self) -> Forms:
        """The forms that are right for the model; loads the weights if no trials of it are remembered.

        Raises:
            ModelError: the model cannot be loaded.
        """
        return self.known_forms or self.fit.forms

    @property
    def is_known(self) -> bool:
        """Whether `identity` is known without loading the weights."""
        return "forms" in self.__dict__ or self.known_forms is not None

    @property
    def expected_forms(self) -> Forms:
        """The forms, as far as they are known without loading the weights."""
        if "forms" in self.__dict__:
            return self.forms
        if self.known_forms:
            return self.known_forms
        reason = self.why_not_packed
        return Forms(BATCHES if reason else PACKED, SLOTS, reason, paths=self.wanted_paths)

    @functools.cached_property
    def why_not_packed(self) -> str:
        """Why packed trees are not tried; empty if they are."""
        options = self.model.options
        if not options.packed:
            return AS_ASKED
        reason = unsupported_reason(
            self.model.config, self.model.device, remote_code=options.trust_remote_code
        )
        return reason or (ROWS_DEPEND if self.model.expected_lengths else "")

    @functools.cached_property
    def known_forms(self) -> Forms | None:
        """The forms that an earlier run's trials found; None if no outcome is remembered."""
        return remembered(self._forms_key) if self.model.remembers_trials else None

    def take_known_forms(self, known: Forms | None) -> None:
        """Take the forms that another process remembers, so that all processes of the model plan alike."""
        self.__dict__["known_forms"] = known

    @functools.cached_property
    def _forms_key(self) -> str:
        """A digest of everything that the outcome of the trials depends on."""
        model = self.model
        versions = [metadata.version(name) for name in ("evalsuite", "torch", "transformers")]
        parts = [TRIALS, model.weights, self.numerics(None), self.why_not_packed, *versions]
        if self.wanted_paths != PLAIN:
            candidates = {part: [*usable(part, model.device, model.dtype)] for part in PARTS}
            packages = mixers_word(model.config, model.device)
            parts += [device_name(model.device), self.wanted_paths.words, candidates, packages]
        return sha256_of(parts)

    @functools.cached_property
    def fit(self) -> "Fit":
        """The loaded model with the forms that passed its trials.

        Raises:
            ModelError: the model cannot be loaded, or an earlier run found other forms.
        """
        from evalsuite.engine.native.trials.fit import fit

        model, known = self.model, self.known_forms
        # A part that fell back in an earlier run stays as it is: answers are stored under that name.
        wanted = known.paths if known else self.wanted_paths
        found = fit(replace(model.loaded, paths=wanted), self.why_not_packed, asked=not model.options.packed)
        if known and known.is_as(found.forms):
            found = replace(found, forms=replace(found.forms, path_notes=known.path_notes))
        for note in found.forms.path_notes.splitlines():
            model.add_note(note)
        if known != found.forms and model.remembers_trials:
            remember(self._forms_key, found.forms)
        if known and not known.is_as(found.forms):
            raise ModelError(
                f"Model '{model.files.name}' is computed in other forms than an earlier run found "
                f"({found.forms.difference_from(known)}), so that answers would be stored under the wrong "
                "name; run the same command again: the new forms are remembered now."
            )
        return found

    def load(self) -> None:
        """Load the weights and run the trials now; raises ModelError if that fails."""
        _ = self.fit, self.forms
