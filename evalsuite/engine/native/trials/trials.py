"""Trials of padded batches of scores and of batches of texts, against plain forward passes of single rows.

Each form of computation is tried on the loaded model before it answers a request. The fallbacks for scores
are packed trees, padded batches, one row at a time; for texts they are slots, left-padded batches, batches of
prompts of one length, one row at a time, and full passes without a cache. A model that fails all of them is
refused.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch

from evalsuite.engine.native.differences import allowed_difference, difference_of
from evalsuite.engine.native.forward import plain_logits
from evalsuite.engine.native.generate_batch import decode_step, keep_rows, prefill
from evalsuite.engine.native.loading.load import LoadedModel
from evalsuite.engine.native.memory import is_out_of_memory
from evalsuite.engine.native.probe.limits import LENGTHS, SHORTER, lengths_beyond, trial_lengths
from evalsuite.engine.native.probe.plain_tokens import plain_tokens
from evalsuite.engine.native.probe.scaled_up import scaled_difference
from evalsuite.engine.native.score_batch import batch_logits
from evalsuite.engine.native.stand_in import why_it_stopped
from evalsuite.engine.planning.batches import any_lengths, equal_lengths, no_rows, within
from evalsuite.types import TokenIds

READ = 3
"""Last positions of each row that are compared, and the number of tokens generated for each text."""
DISTINCT = 5
"""Tokens that the rows of repeated tokens consist of."""
TOGETHER = {"batches": any_lengths, "batches of one length": equal_lengths, "single rows": no_rows}
"""Forms without trees and slots: which rows share a forward pass."""


def rows_of_trial(loaded: LoadedModel) -> list[TokenIds]:
    """Sequences of unequal lengths, some beyond the short limits of the configuration; longest first.

    Beyond each limit there is a shorter, padded row of repeated tokens, too: a layer that selects keys by
    score (Doge) selects otherwise among equal keys once the row is padded.
    """
    config = loaded.model.config
    text_config = config.get_text_config().to_dict()
    lengths = trial_lengths(text_config)
    rows = [plain_tokens(config, length, start=5 + 11 * index) for index, length in enumerate(lengths)]
    for length in lengths_beyond(text_config):
        count = length - SHORTER
        rows.append((plain_tokens(config, DISTINCT) * count)[:count])
    return sorted(rows, key=len, reverse=True)


def why_batches_differ(loaded: LoadedModel, form: str) -> str:
    """Compare right-padded batches, or single rows, with plain passes; why they cannot be used, or empty.

    Args:
        loaded: the model.
        form: a key of `TOGETHER`.
    """
    return _why_it_fails(loaded, lambda rows: _largest(_scored_differences(loaded, rows, form)))


def why_texts_differ(loaded: LoadedModel, form: str) -> str:
    """As `why_batches_differ`, for texts in left-padded batches, in batches of one length, or alone."""
    return _why_it_fails(loaded, lambda rows: _largest(_text_differences(loaded, rows, form)))


def _why_it_fails(loaded: LoadedModel, difference: Callable[[Sequence[TokenIds]], float]) -> str:
    """Why a form fails: by its difference on the trial's rows, or on short ones, activations scaled up."""
    rows, allowed = rows_of_trial(loaded), allowed_difference(loaded.model.dtype)
    short = rows[-len(LENGTHS) :]
    try:
        found = difference(rows)
        scaled = scaled_difference(loaded, lambda: difference(short), short, allowed)
    except Exception as error:  # modelling code raises errors of every kind
        if is_out_of_memory(error):
            raise
        return why_it_stopped(error)
    if found > allowed:
        return f"a trial differed from single sequences by {found:.2g} of the spread"
    if scaled > allowed:
        return (
            f"a trial with activations scaled up differed from single sequences by {scaled:.2g} of the spread"
        )
    return ""


def _largest(differences: Iterator[float]) -> float:
    return max(differences, default=0.0)


@torch.inference_mode()
def _scored_differences(loaded: LoadedModel, rows: Sequence[TokenIds], form: str) -> Iterator[float]:
    for batch in _batches(loaded, rows, form):
        row_of = torch.arange(len(batch)).repeat_interleave(READ)
        columns = torch.tensor([len(ids) - READ + step for ids in batch for step in range(READ)])
        found = batch_logits(loaded, batch, row_of, columns).float()  # (rows x READ, vocabulary)
        yield difference_of(found, torch.cat([plain_logits(loaded, ids, READ) for ids in batch]))


@torch.inference_mode()
def _text_differences(loaded: LoadedModel, rows: Sequence[TokenIds], form: str) -> Iterator[float]:
    rule = loaded.lengths
    for batch in _batches(loaded, rows, form):
        grown = (len(ids) - READ + step for ids in batch for step in range(1, READ + 1))
        if rule and any(map(rule.begins_anew, grown)):
            continue  # a text that restarts does not use its cache
        state = prefill(loaded, [ids[: len(ids) - READ] for ids in batch])
        own = torch.stack(
            [plain_logits(loaded, ids, READ + 1, positions=loaded.text_positions) for ids in batch], dim=1
        )  # (READ + 1, rows, vocabulary)
        yield difference_of(state.logits.float(), own[0])
        for step in range(READ):
            if state.cache is None:
                break
            decode_step(loaded, state, [ids[len(ids) - READ + step] for ids in batch])
            yield difference_of(state.logits.float(), own[step + 1])
            if len(batch) > 1 and step == 0:  # as if the first row had ended
                keep_rows(state, range(1, len(batch)))
                batch, own = batch[1:], own[:, 1:]


def _batches(loaded: LoadedModel, rows: Sequence[TokenIds], form: str) -> list[list[TokenIds]]:
    """The rows as the engine would batch them; for batches of one length, two rows of each length."""
    if form == "batches of one length":
        config = loaded.model.config
        rows = [ids for row in rows for ids in (row, plain_tokens(config, len(row), start=3 + len(row)))]
    together = within(loaded.lengths, TOGETHER[form])
    batches: list[list[TokenIds]] = []
    for ids in rows:
        if batches and together(len(batches[-1][0]), len(ids)):
            batches[-1].append(ids)
        else:
            batches.append([ids])
    return batches


BEYOND_ITS_LIMITS = "beyond its limits, tried on a tiny copy with shorter ones: "


@dataclass(frozen=True, slots=True)
class Form:
    """A form of computation for scores or for texts."""

    name: str
    loaded: LoadedModel
    reasons: tuple[str, ...] = ()
    """Why each faster form is not used."""


def fitting_scores(loaded: LoadedModel, reason: str, copy: LoadedModel | None = None) -> Form:
    """The fastest form without trees in which scores are right; `reason` says why trees are not used.

    A tiny `copy` with short limits is tried, too, if the model's own limits are too long to reach. The form
    named "nothing" means that not even single rows match plain passes.
    """
    reasons: tuple[str, ...] = (reason,)
    for name in ("batches", "single rows"):
        problem = why_batches_differ(loaded, name)
        if not problem and copy and name == "batches" and (beyond := why_batches_differ(copy, name)):
            problem = f"{BEYOND_ITS_LIMITS}{beyond}"
        if not problem:
            return Form(name, loaded, reasons)
        reasons = (*reasons, problem)
    return Form("nothing", loaded, reasons)


def fitting_texts(loaded: LoadedModel, reason: str, copy: LoadedModel | None = None) -> Form:
    """As `fitting_scores`, for texts; `reason` says why slots are not used."""
    counting, uncached = replace(loaded, text_positions=False), replace(loaded, text_cache=False)
    forms = (
        ("batches", loaded),
        ("batches", counting),
        ("batches of one length", loaded),
        ("batches of one length", counting),
        ("single rows", loaded),
        ("single rows", counting),
        ("single rows", uncached),
        ("single rows", replace(counting, text_cache=False)),
    )
    reasons: tuple[str, ...] = (reason,)
    for name, variant in forms:
        problem = why_texts_differ(variant, name)
        if not problem and copy and name == "batches":
            small = replace(copy, text_positions=variant.text_positions)
            if beyond := why_texts_differ(small, name):
                problem = f"{BEYOND_ITS_LIMITS}{beyond}"
        if not problem:
            return Form(name if variant.text_cache else "full passes", variant, reasons)
        reasons = (*reasons, problem)
    return Form("nothing", loaded, reasons)
