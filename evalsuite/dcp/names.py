"""Cleans the names of a checkpoint's tensors: wrappers and containers go, and training state is set aside.

A trainer stores `{"model": ..., "optimizer": ...}` or deeper containers, so that names begin with them; DDP,
FSDP, torch.compile and activation checkpointing add a segment for the module that they wrap. Sources: torch
2.13, `nn/parallel/distributed.py` (`module`), `distributed/fsdp/_common_utils.py`,
`distributed/algorithms/_checkpoint/checkpoint_wrapper.py` and `_dynamo/eval_frame.py`; torchtitan 0.3,
`components/checkpoint.py`; OLMo-core 3.0, `distributed/checkpoint/__init__.py`.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

WRAPPERS = frozenset({"_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module", "_forward_module"})
"""Segments that a wrapper adds, anywhere in a name; no module is called so otherwise."""
CONTAINERS = frozenset({"app", "state", "state_dict", "model_state_dict", "model", "module"})
"""Segments that a name may begin with; `model` also begins the names of transformers."""
TRAINING_STATE = frozenset(
    {
        "optim",
        "optimizer",
        "optimizers",
        "optimizer_state",
        "optimizer_state_dict",
        "optimizer_states",
        "lr_scheduler",
        "lr_schedulers",
        "scheduler",
        "schedulers",
        "dataloader",
        "train_state",
        "trainer",
        "loops",
        "callbacks",
        "rng",
        "rng_state",
        "scaler",
        "step",
        "global_step",
        "epoch",
    }
)
"""Segments that begin a trainer's own state, behind any containers."""


@dataclass(frozen=True, slots=True)
class CleanNames:
    """The names of a checkpoint's tensors without wrappers, divided into weights and training state."""

    weights: Mapping[str, str]
    """The checkpoint's own names of weights, by clean name."""
    training_state: Mapping[str, int]
    """Numbers of tensors of the trainer's own state, by the segment that marks them."""
    repeated: tuple[str, ...] = ()
    """Own names that are the same as another one without wrappers."""

    def prefixes(self) -> list[str]:
        """What all names of weights begin with, from nothing to all common containers."""
        found = [""]
        while self.weights:
            names = [name.removeprefix(found[-1]) for name in self.weights]
            first = names[0].partition(".")[0]
            if first not in CONTAINERS or not all(name.startswith(f"{first}.") for name in names):
                break
            found.append(f"{found[-1]}{first}.")
        return found


def clean(names: Iterable[str]) -> CleanNames:
    """Divide and clean the names of tensors."""
    weights: dict[str, str] = {}
    state: Counter[str] = Counter()
    repeated = []
    for name in names:
        segments = [segment for segment in name.split(".") if segment not in WRAPPERS]
        if mark := _training_state(segments):
            state[mark] += 1
        elif (cleaned := ".".join(segments)) in weights:
            repeated.append(name)
        else:
            weights[cleaned] = name
    return CleanNames(weights, dict(sorted(state.items())), tuple(repeated))


def _training_state(segments: Iterable[str]) -> str:
    """The segment that marks a name as training state; empty for a weight."""
    for segment in segments:
        if segment in TRAINING_STATE:
            return segment
        if segment not in CONTAINERS:
            return ""
    return ""
