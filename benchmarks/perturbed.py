"""Writes copies of a model with noise in its weights, as candidates for compare and gate.

    python benchmarks/perturbed.py smollm2-135m OUT 0 0.02 0.2

Strength s adds Gaussian noise to each weight matrix, s times the matrix's standard deviation; 0 is a plain
copy.
"""

import argparse
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from evalsuite.checkpoints import resolve


def write_copies(name: str, out: Path, strengths: list[float]) -> None:
    """Write a folder `<out>/noise-<strength>` per strength, in float32."""
    files = resolve(name)
    source = {"gguf_file": files.gguf_file} if files.gguf_file else {}
    loaded = AutoModelForCausalLM.from_pretrained(files.folder, dtype=torch.float32, **source)
    tokenizer = AutoTokenizer.from_pretrained(files.folder, **source)
    weights = loaded.state_dict()
    # transformers refuses to save a model that it read from GGUF, but saves a new one of the same
    # configuration.
    model = type(loaded)(loaded.config)
    for strength in strengths:
        model.load_state_dict(noisy(weights, strength))
        folder = out / f"noise-{strength:g}"
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        print(folder)


def noisy(weights: dict[str, torch.Tensor], strength: float) -> dict[str, torch.Tensor]:
    """The weights with noise in the matrices; the noise is the same in every call."""
    generator = torch.Generator().manual_seed(0)
    changed = {}
    for name, weight in weights.items():
        noise = torch.randn(weight.shape, generator=generator) if weight.dim() == 2 else 0
        changed[name] = weight + strength * weight.std() * noise if weight.dim() == 2 else weight
    return changed


def main() -> None:
    """Read the arguments and write the copies."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", help="name or folder, as for --model")
    parser.add_argument("out", type=Path, help="folder for the copies")
    parser.add_argument("strengths", type=float, nargs="+", metavar="strength", help="0 is a plain copy")
    options = parser.parse_args()
    write_copies(options.model, options.out, options.strengths)


if __name__ == "__main__":
    main()
