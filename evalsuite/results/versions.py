"""Versions of the packages that answers depend on; nothing is imported to find them."""

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
"""Of every model; kernels among them are used where they are installed."""
OF_SOME = ("gguf", "peft", "sentencepiece", "tiktoken", "vllm")
"""Of models in some formats, and of some engines."""


def installed(packages: Iterable[str]) -> dict[str, str]:
    """Version by package, of those that are installed."""
    versions = {}
    for package in packages:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return versions


def differing(one: Mapping[str, str], other: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """By package both versions, where they differ; "none" where it is not installed."""
    pairs = {name: (one.get(name, "none"), other.get(name, "none")) for name in sorted({*one, *other})}
    return {name: (here, there) for name, (here, there) in pairs.items() if here != there}


def told_of_origins(
    origins: Sequence[tuple[Mapping[str, str], int]], ours: Mapping[str, str]
) -> Iterator[str]:
    """What to say of stored answers that sessions with other versions of packages made."""
    for versions, count in origins:
        if not versions:
            yield f"{count:,} answers come from sessions whose versions of packages were not recorded."
        elif others := differing(
            versions, {name: ours[name] for name in (*versions, *ANSWERING) if name in ours}
        ):
            told = ", ".join(f"{name} {there} (here {here})" for name, (there, here) in others.items())
            yield f"{count:,} answers come from a session with {told}."
