"""Compares matrix products of a small decoder on one core: torch's default and oneDNN.

    python benchmarks/products.py [--dtype float32] [--rows 8 32 2048] [--threads 1]

Prints GFLOP/s, the best of seven rounds each. The weights are small enough for a large cache.
"""

import argparse
import sys
import time

import torch

from evalsuite.engine.native.cpu.onednn import lay_out_weights, use_onednn

SIZES = ((576, 576), (576, 1536), (1536, 576), (576, 49152))
"""(inputs, outputs) of SmolLM2-135M."""
TURNS = 7


def seconds(layer: torch.nn.Module, inputs: torch.Tensor) -> float:
    """The seconds of one call."""
    started = time.perf_counter()
    layer(inputs)
    return time.perf_counter() - started


@torch.inference_mode()
def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--rows", type=int, nargs="+", default=[8, 32, 2048])
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    dtype = getattr(torch, options.dtype)
    print(
        "| rows | inputs | outputs | default | oneDNN | laid out |\n| ---: | ---: | ---: | ---: | ---: | "
        "---: |"
    )
    for rows in options.rows:
        for inputs, outputs in SIZES:
            plain, onednn, laid_out = (
                torch.nn.Linear(inputs, outputs, bias=False, dtype=dtype) for _ in range(3)
            )
            use_onednn(onednn)
            use_onednn(laid_out)
            lay_out_weights(laid_out, sys.maxsize)
            given = torch.randn(rows, inputs, dtype=dtype)
            taken = [[seconds(layer, given) for layer in (plain, onednn, laid_out)] for _ in range(TURNS)]
            rates = [2e-9 * rows * inputs * outputs / min(times) for times in zip(*taken, strict=True)]
            print(f"| {rows} | {inputs} | {outputs} | " + " | ".join(f"{rate:.0f}" for rate in rates) + " |")


if __name__ == "__main__":
    main()
