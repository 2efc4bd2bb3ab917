"""Versions of the packages that answers depend on, found without importing them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib import metadata

ANSWERING = (
    "evalsuite",
    "torch",
    "transformers",
    "tokenizers",
    "triton",
    "mamba-ssm",
    "causal-conv1d",
    "flash-attn",
    "flash-linear-attention",
    "kernels",
)
"""Packages for every model; the kernels among them are used if installed."""
OF_SOME = ("gguf", "peft", "sentencepiece", "tiktoken", "vllm")
"""Packages for certain model formats and engines."""


def installed(packages: Iterable[str]) -> dict[str, str]:
    """The versions of the installed ones of `packages`."""
    versions = {}
    for package in packages:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return versions


def differing(one: Mapping[str, str], other: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """The packages whose versions differ, with both versions; "none" for a package that is not installed."""
    pairs = {name: (one.get(name, "none"), other.get(name, "none")) for name in sorted({*one, *other})}
    return {name: (here, there) for name, (here, there) in pairs.items() if here != there}


def told_of_origins(
    origins: Sequence[tuple[Mapping[str, str], int]], ours: Mapping[str, str]
) -> Iterator[str]:
    """Notes on stored answers from sessions with other package versions."""
    for versions, count in origins:
        if not versions:
            yield f"{count:,} answers come from sessions whose package versions were not recorded."
        elif others := differing(
            versions, {name: ours[name] for name in (*versions, *ANSWERING) if name in ours}
        ):
            told = ", ".join(f"{name} {there} (here {here})" for name, (there, here) in others.items())
            yield f"{count:,} answers come from a session with {told}."
