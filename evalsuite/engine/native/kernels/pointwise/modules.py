"""Which modules of a model the kernels compute: recognised by their parts, kept if a trial agrees.

How families differ (transformers 5.17 to 5.23), which the trial finds out:

- RMS norms round to the data type of their input before the weight (Llama, Qwen, Mistral; Nemotron-H in 5.17)
  or after it (Nemotron-H in 5.23, GPT-OSS, Gemma); Gemma's add 1 to the weight.
- Gated RMS norms multiply by the gate before the norm (Mamba-2's, over groups of channels) or after it
  (Falcon-H1 on request, Qwen3-Next).

A module of another kind, or one that does more (clamps, multipliers), remains the model's own code.
"""

from collections.abc import Callable, Iterator
from itertools import product
from typing import Any

import torch

from evalsuite.engine.native.kernels.pointwise.functions import WIDEST_ROW, activated, rms_norm
from evalsuite.engine.native.kernels.pointwise.trial import SCALES, best_variant, rows_of

ACTIVATION_CLASSES = {
    "SiLU": "silu",
    "SiLUActivation": "silu",
    "GELUActivation": "gelu",
    "GELUTanh": "gelu_tanh",
}
"""The kernel's name of an activation, by the activation's class."""
GATE_UP_DOWN = ("gate_proj", "up_proj", "down_proj", "act_fn")
"""Names of the parts of down(act(gate(x)) * up(x)), as in Llama and most others."""
JOINT_DOWN = (
    ("gate_up_proj", "down_proj", "activation_fn"),
    ("input_linear", "output_linear", "activation"),
)
"""The same where gate and up are one layer: Phi-3; the shared experts of Granite's hybrids."""

Forward = Callable[..., Any]

TRIAL_WIDTH = 64
"""Columns of the trial of a module without parameters."""


@torch.inference_mode()
def forward_by_kernels(module: Any, own: Forward, like: torch.Tensor) -> Forward | None:
    """A forward method that computes a module by kernels, or None if there is none that agrees with its own.

    Args:
        module: a module of a loaded model.
        own: its own forward method, which computes what the kernels cannot.
        like: a parameter of the model, for a module that has none.
    """
    for build in (_norm, _gated_norm, _squared_relu, _gated_layer):
        try:
            found = build(module, own, like)
        except (
            Exception
        ):  # Boundary: modules of unknown code raise errors of every kind, and so do compilers.
            continue
        if found is not None:
            return found
    return None


def _norm_weight(module: Any) -> torch.Tensor | None:
    """The weight of a module that has no other parameter and an epsilon, if it is an RMS norm."""
    names = [name for name, _ in module.named_parameters()]
    kind = type(module)
    if names != ["weight"] or "RMSNorm" not in kind.__name__ or kind.__module__.startswith("torch."):
        return None
    weight: torch.Tensor = module.weight
    return weight if weight.ndim == 1 and weight.is_contiguous() and len(weight) <= WIDEST_ROW else None


def _epsilon(module: Any) -> float:
    return float(getattr(module, "variance_epsilon", None) or module.eps)


def _norm(module: Any, own: Forward, like: torch.Tensor) -> Forward | None:
    weight = _norm_weight(module)
    if weight is None or "Gated" in type(module).__name__:
        return None
    eps = _epsilon(module)

    def by_kernel(rounded: bool, plus_one: bool) -> Forward:
        return lambda hidden: rms_norm(hidden, weight, eps, rounded=rounded, plus_one=plus_one)

    variants = [(variant, by_kernel(*variant)) for variant in product((True, False), repeat=2)]
    variant = best_variant(own, variants, [(rows_of(len(weight), weight),)])
    if variant is None:
        return None
    kernel = by_kernel(*variant)

    def forward(hidden: torch.Tensor, *others: Any, **options: Any) -> Any:
        known = hidden.dtype == weight.dtype and hidden.shape[-1] == len(weight)
        return (kernel if known and not others and not options else own)(hidden, *others, **options)

    return forward


def _gated_norm(module: Any, own: Forward, like: torch.Tensor) -> Forward | None:
    weight = _norm_weight(module)
    if weight is None or "Gated" not in type(module).__name__:
        return None
    eps, width = _epsilon(module), len(weight)
    groups = int(getattr(module, "n_groups", 0) or width // getattr(module, "group_size", width))

    def by_kernel(rounded: bool, gate_first: bool) -> Forward:
        def kernel(hidden: torch.Tensor, gate: torch.Tensor) -> torch.Tensor:
            # A float32 scan is rounded to the model's data type by the mixer anyway.
            return rms_norm(
                hidden,
                weight,
                eps,
                rounded=rounded,
                gate=gate,
                gate_first=gate_first,
                groups=groups,
                dtype=weight.dtype,
            )

        return kernel

    dtypes = dict.fromkeys((weight.dtype, torch.float32))
    inputs = [(rows_of(width, weight, dtype), rows_of(width, weight, seed=1)) for dtype in dtypes]
    variants = [(variant, by_kernel(*variant)) for variant in product((True, False), repeat=2)]
    variant = best_variant(own, variants, inputs)
    if variant is None:
        return None
    kernel = by_kernel(*variant)

    def forward(hidden: torch.Tensor, gate: torch.Tensor | None = None, **options: Any) -> Any:
        if gate is None or options or hidden.dtype not in dtypes or gate.dtype != weight.dtype:
            return own(hidden, gate, **options)
        return kernel(hidden, gate)

    return forward


def _squared_relu(module: Any, own: Forward, like: torch.Tensor) -> Forward | None:
    if type(module).__name__ != "ReLUSquaredActivation":
        return None
    variants = [(True, lambda hidden: activated(hidden, "squared_relu"))]
    found = best_variant(own, variants, [(rows_of(TRIAL_WIDTH, like),)])
    return variants[0][1] if found else None


def _gated_layer(module: Any, own: Forward, like: torch.Tensor) -> Forward | None:
    """A feed-forward layer by the kernel, with `own` for what it does not compute."""
    parts = _parts_of(module)
    if parts is None:
        return None
    first, factors_of, down, activation = parts
    name = ACTIVATION_CLASSES[type(activation).__name__]

    def kernel(hidden: torch.Tensor) -> Any:
        opening, factor = factors_of(hidden)
        return down(activated(opening, name, factor))

    rows = rows_of(first.in_features, first.weight)
    small = rows[:, : rows.shape[1] // len(SCALES)]
    projected = float(first(small).float().abs().mean()) or 1.0
    inputs = [(rows,), *((small * (scale / projected),) for scale in SCALES)]
    if best_variant(own, [(True, kernel)], inputs) is None:
        return None

    def forward(hidden: torch.Tensor, *others: Any, **options: Any) -> Any:
        known = hidden.dtype == first.weight.dtype and hidden.numel()
        return (kernel if known and not others and not options else own)(hidden, *others, **options)

    return forward


def _parts_of(module: Any) -> tuple[Any, Forward, Any, Any] | None:
    """The first linear layer of a gated layer, what gives gate and factor, the last layer, the activation."""
    if all(hasattr(module, name) for name in GATE_UP_DOWN):
        gate, up, down, activation = (getattr(module, name) for name in GATE_UP_DOWN)
        return gate, lambda hidden: (gate(hidden), up(hidden)), down, activation
    for names in JOINT_DOWN:
        if all(hasattr(module, name) for name in names):
            joint, down, activation = (getattr(module, name) for name in names)
            return joint, _halves_of(joint), down, activation
    return None


def _halves_of(joint: Any) -> Forward:
    return lambda hidden: joint(hidden).chunk(2, dim=-1)


def modules_by_kernels(model: Any) -> Iterator[tuple[Any, str, Forward]]:
    """Each module that kernels can compute, the attribute that holds its forward method, and the new one.

    A module that accelerate has hooked (`--device spread`) keeps the hook, which moves its inputs.
    """
    like = next(model.parameters())
    for module in model.modules():
        name = (
            "_old_forward" if hasattr(module, "_hf_hook") and hasattr(module, "_old_forward") else "forward"
        )
        found = forward_by_kernels(module, getattr(module, name), like)
        if found is not None:
            yield module, name, found
