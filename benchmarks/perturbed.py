"""Writes copies of a model with noise added to its weights, to see what compare and gate make of them.

    python benchmarks/perturbed.py smollm2-135m OUT 0 0.02 0.2

Strength s adds to each weight matrix Gaussian noise of s times its own standard deviation; 0 is a plain copy.
"""

import sys
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from evalsuite.checkpoints import resolve


def main(name: str, out: Path, strengths: list[float]) -> None:
    """One folder `<out>/noise-<strength>` per strength, in float32."""
    files = resolve(name)
    source = {"gguf_file": files.gguf_file} if files.gguf_file else {}
    loaded = AutoModelForCausalLM.from_pretrained(files.folder, dtype=torch.float32, **source)
    tokenizer = AutoTokenizer.from_pretrained(files.folder, **source)
    weights = loaded.state_dict()
    # A model read from GGUF refuses to be saved; a fresh one of the same configuration does not.
    model = type(loaded)(loaded.config)
    for strength in strengths:
        model.load_state_dict(noisy(weights, strength))
        folder = out / f"noise-{strength:g}"
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        print(folder)


def noisy(weights: dict[str, torch.Tensor], strength: float) -> dict[str, torch.Tensor]:
    """The matrices with noise, the rest as it is; the same for every call."""
    generator = torch.Generator().manual_seed(0)
    changed = {}
    for name, weight in weights.items():
        noise = torch.randn(weight.shape, generator=generator) if weight.dim() == 2 else 0
        changed[name] = weight + strength * weight.std() * noise if weight.dim() == 2 else weight
    return changed


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), [float(strength) for strength in sys.argv[3:]])
