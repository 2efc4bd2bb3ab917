"""Whether a model can be run on packed trees: told from its configuration, and tried once it is loaded.

What it takes: every layer that mixes tokens asks transformers' attention interface for causal attention,
whole, in a window or in chunks, or does it by a function that `trees.recurrent` replaces, and positions come
from `position_ids` alone (or `temperature` sees to it). Models that do not fit are scored in padded batches,
with the reason in the run log.
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
    from evalsuite.engine.native.loading.load import LoadedModel

PACKED_DEVICES = ("cpu", "cuda")
"""Elsewhere models run in batches. What kernels of a device make of a pack is found out by the trial."""

STATES_CODE, INPUTS_CODE = ".update_recurrent_state(", ".update_conv_state("
"""What modeling code with recurrent layers, or with convolutions, contains; `trees.recurrent` knows some of
them."""
ROWS_DEPEND = "its position embedding depends on the length of the row"
"""Why the sequences of a model with a `LengthRule` must not share a row or a cache with longer ones."""

ROUNDING = {"float32": 1e-3}
"""How far a pack's logits may be from those of single sequences, as a share of the spread (norm about the
mean) of these, by data type. Rounding to bfloat16 gives some hundredths; a wrong mask or state gives about
1."""
HALF_ROUNDING = 0.15

SHORT_TRIAL = ((5, 6, 7, 8, 9), (5, 6, 7, 8, 10, 11, 12), (5, 6, 13), (14, 15))
SHARED, BRANCHES = 150, (1, 3, 70, 129)
"""Tokens of the trial on a GPU, as its kernels work through tiles of up to 128: of a prefix, and behind
it."""


def unsupported_reason(config: Mapping[str, Any], device: str, *, remote_code: bool) -> str:
    """Why a model of this configuration does not fit, in a few words; empty if it does.

    Args:
        config: its `config.json`.
        device: resolved.
        remote_code: its folder's own code would be run.
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


def fitted(loaded: "LoadedModel") -> tuple["LoadedModel | None", str]:
    """The model as it passes the trial, by the kernels of its device or by functions of torch, and what is to
    be told.

    None where neither gives what single sequences give: then packs cannot be used.
    """
    reason = why_it_differs(loaded)
    if not reason:
        return loaded, ""
    plain = replace(loaded, plain_trees=True)
    if still := why_it_differs(plain):
        return None, still
    return plain, f"packed trees are computed by torch's functions, without kernels: {reason}"


def why_it_differs(loaded: "LoadedModel") -> str:
    """Try a small tree on a loaded model; why it cannot be used, or empty if it gives what single sequences
    give.

    Tried once more with activations scaled up, on the shortest sequences.
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
    """Between next-token logits of sequences on one tree and by themselves, as a share of the spread of the
    latter.

    Raises:
        ModelError: no layer asked for attention, or walked the tree.
        Exception: of any kind; kernels and modelling code raise.
    """
    import torch

    from evalsuite.engine.native.differences import difference_of
    from evalsuite.engine.native.forward import plain_logits
    from evalsuite.engine.native.score_packed import logits_at, run_body
    from evalsuite.engine.native.trees.tree import tree_of
    from evalsuite.engine.planning.pack import lay
    from evalsuite.engine.planning.plan import sort_inputs, sortable

    sequences = sorted(sequences)
    inputs, _ = sort_inputs(map(sortable, sequences))
    pack, places = lay(inputs, tuple(range(len(inputs))), [1] * len(inputs))
    tree = tree_of(pack, loaded.device, plain=loaded.plain_trees)
    with torch.inference_mode():
        alone = torch.stack([plain_logits(loaded, one)[0].cpu() for one in sequences])
        output = run_body(loaded, tree)
        packed = logits_at(loaded, output, torch.tensor([int(place[-1]) for place in places])).float().cpu()
    if not tree.layers:
        raise ModelError("its layers did not ask the attention interface")
    return difference_of(packed, alone)


def trial_sequences(loaded: "LoadedModel") -> list[tuple[int, ...]]:
    """What the trial asks: a small tree, branches beyond each limit of the configuration that is short
    enough.

    On a GPU also stretches as long as its kernels' tiles.
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
    shared = tuple(37 * at % vocabulary for at in range(SHARED))
    branches = (
        tuple((11 * row + 53 * at + 1) % vocabulary for at in range(count))
        for row, count in enumerate(BRANCHES)
    )
    return [*SHORT_TRIAL, *long, *(shared + branch for branch in branches)]
