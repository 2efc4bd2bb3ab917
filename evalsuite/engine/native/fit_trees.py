"""Whether a model can run on packed trees: judged by its configuration, and by a trial once it is loaded.

The requirements: every layer that mixes tokens calls transformers' attention interface for causal attention
(full, in a window or in chunks), or uses a function that `trees.recurrent` replaces; and positions come from
`position_ids` alone (or `temperature` corrects them). Other models are scored in padded batches, with the
reason in the run log.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from evalsuite.engine.native.probe.attention_options import NO_INTERFACE
from evalsuite.engine.native.probe.limits import lengths_beyond
from evalsuite.engine.native.probe.modeling_code import modeling_code
from evalsuite.engine.native.probe.plain_tokens import plain_tokens
from evalsuite.engine.native.trees.functions import CONV, RECURRENCES
from evalsuite.errors import ModelError

if TYPE_CHECKING:
    import torch

    from evalsuite.engine.native.loading.load import LoadedModel
    from evalsuite.engine.native.trees.tree import Tree
    from evalsuite.engine.native.trials.parts import PartsFit

TREE_PARTS = ("attention", "scan", "pointwise")
"""The parts of `Paths` that a pass over a tree computes."""

PACKED_DEVICES = ("cpu", "cuda")
"""On other devices models run in batches. The trial finds out whether the device's kernels handle packs."""

STATES_CODE, INPUTS_CODE = ".update_recurrent_state(", ".update_conv_state("
"""Calls in modeling code that reveal recurrent layers and convolutions; `trees.recurrent` handles some."""
ROWS_DEPEND = "its position embedding depends on the length of the row"
"""Why the sequences of a model with a `LengthRule` must not share a row or a cache with longer ones."""

ROUNDING = {"float32": 1e-3}
"""Allowed difference of a pack's logits from those of single sequences, by data type.

A share of the spread (norm about the mean) of the latter. Rounding to bfloat16 gives a few hundredths; a
wrong mask or state gives about 1.
"""
HALF_ROUNDING = 0.15

SHORT_TRIAL = ((5, 6, 7, 8, 9), (5, 6, 7, 8, 10, 11, 12), (5, 6, 13), (14, 15))
SHARED, BRANCHES = 150, (1, 3, 70, 129)
"""Tokens of the GPU trial's prefix and of its branches; the kernels work in tiles of up to 128 tokens."""


def unsupported_reason(config: Mapping[str, Any], device: str, *, remote_code: bool) -> str:
    """Why a model of this configuration cannot run on packed trees, in a few words; empty if it can.

    Args:
        config: the model's `config.json`.
        device: a resolved device.
        remote_code: whether the folder's own code would run.
    """
    if device.partition(":")[0] not in PACKED_DEVICES:
        return f"packs are for {', '.join(PACKED_DEVICES)}"
    if remote_code and "auto_map" in config:
        return "it runs code of its own"
    code = modeling_code(config)
    walks = any(f"def {name}(" in code for name in RECURRENCES)
    if "ALL_ATTENTION_FUNCTIONS" not in code and not walks:
        return NO_INTERFACE
    if STATES_CODE in code and not walks:
        return "its recurrent layers read the row from left to right"
    if INPUTS_CODE in code and f"def {CONV}(" not in code:
        return "its convolutions read the row from left to right"
    return ""


def fitted(loaded: "LoadedModel") -> "PartsFit":
    """The model on the fastest implementations of the parts of trees that pass the trial.

    If not even the plain ones match single sequences, packs cannot be used.
    """
    from evalsuite.engine.native.trials.parts import fitted_parts, without_unused

    found = fitted_parts(loaded, TREE_PARTS, lambda ready: why_it_differs(ready))
    if found.loaded is None or found.loaded.paths == found.loaded.paths.plain_in(*TREE_PARTS):
        return found
    used = without_unused(found.loaded, ran_on_a_tree(found.loaded), TREE_PARTS)
    return replace(used, notes=(*found.notes, *used.notes))


def ran_on_a_tree(loaded: "LoadedModel") -> set[tuple[str, str]]:
    """Each part that a pass over a small tree computes, with its implementation (`Tree.ran`)."""
    return _run(loaded, trial_sequences(loaded))[0].ran


def why_it_differs(loaded: "LoadedModel") -> str:
    """Try a small tree on a loaded model; returns why trees cannot be used, or empty if the logits match.

    The reference is single sequences. The shortest ones are tried again with activations scaled up.
    """
    from evalsuite.engine.native.probe.attention_probe import why_its_attention_is_unknown
    from evalsuite.engine.native.probe.scaled_up import scaled_difference
    from evalsuite.engine.native.score_packed import body_of
    from evalsuite.engine.native.stand_in import why_it_stopped

    if reason := why_its_attention_is_unknown(loaded):
        return reason
    if body_of(loaded.model) is loaded.model or loaded.model.get_output_embeddings() is None:
        return "its head cannot be run apart"
    allowed = ROUNDING.get(str(loaded.model.dtype).removeprefix("torch."), HALF_ROUNDING)
    try:
        difference = tree_difference(loaded, trial_sequences(loaded))
        if difference > allowed:
            return f"a trial differed from single sequences by {difference:.2g} of the spread"
        scaled = scaled_difference(loaded, lambda: tree_difference(loaded, SHORT_TRIAL), SHORT_TRIAL, allowed)
    except Exception as error:  # kernels and their compilers raise errors of every kind
        return why_it_stopped(error)
    if scaled > allowed:
        return (
            f"a trial with activations scaled up differed from single sequences by {scaled:.2g} of the spread"
        )
    return ""


def tree_difference(loaded: "LoadedModel", sequences: Iterable[tuple[int, ...]]) -> float:
    """Difference of next-token logits on one tree from those of single sequences, as a share of their spread.

    Raises:
        ModelError: no layer called the attention interface, or walked the tree.
        Exception: kernels and modelling code may raise any error.
    """
    import torch

    from evalsuite.engine.native.differences import difference_of
    from evalsuite.engine.native.forward import plain_logits

    sequences = sorted(sequences)
    with torch.inference_mode():
        alone = torch.stack([plain_logits(loaded, sequence)[0].cpu() for sequence in sequences])
    tree, packed = _run(loaded, sequences)
    if not tree.layers:
        raise ModelError("its layers did not ask the attention interface")
    return difference_of(packed, alone)


def _run(loaded: "LoadedModel", sequences: Iterable[tuple[int, ...]]) -> "tuple[Tree, torch.Tensor]":
    """A tree of the sequences after its pass, and their (sequences, vocabulary) next-token logits, sorted."""
    import torch

    from evalsuite.engine.native.score_packed import logits_at, run_body
    from evalsuite.engine.native.trees.tree import tree_of
    from evalsuite.engine.planning.pack import lay
    from evalsuite.engine.planning.plan import sort_inputs, sortable

    inputs, _ = sort_inputs(map(sortable, sorted(sequences)))
    pack, paths = lay(inputs, tuple(range(len(inputs))), [1] * len(inputs))
    tree = tree_of(pack, loaded.device, loaded.paths)
    with torch.inference_mode():
        output = run_body(loaded, tree)
        rows = torch.tensor([int(path[-1]) for path in paths])
        return tree, logits_at(loaded, output, rows).float().cpu()


def trial_sequences(loaded: "LoadedModel") -> list[tuple[int, ...]]:
    """The sequences of the trial: a small tree, and branches beyond each short limit of the configuration.

    On a GPU also sequences as long as its kernels' tiles.
    """
    config = loaded.model.config.get_text_config()
    trunks = [plain_tokens(loaded.model.config, length) for length in lengths_beyond(config.to_dict())]
    long = [
        sequence
        for trunk in trunks
        for sequence in (
            trunk,
            trunk[: len(trunk) // 2] + plain_tokens(loaded.model.config, len(trunk) // 2, 9),
        )
    ]
    window = getattr(config, "max_position_embeddings", None) or SHARED + max(BRANCHES)
    if loaded.device == "cpu" or window < SHARED + max(BRANCHES):
        return [*SHORT_TRIAL, *long]
    vocabulary = config.vocab_size
    shared = tuple(37 * index % vocabulary for index in range(SHARED))
    branches = (
        tuple((11 * row + 53 * index + 1) % vocabulary for index in range(count))
        for row, count in enumerate(BRANCHES)
    )
    return [*SHORT_TRIAL, *long, *(shared + branch for branch in branches)]
