"""Measures how long a task's prompts take to render and encode, on one core, without a model.

    python benchmarks/encoding.py mmlu --model smollm2-135m [--data DIR]

Prints the seconds of each step, and two numbers without noise: characters in the prompts and characters that
the tokenizer received. With --versus it also encodes each context and continuation as whole texts.
"""

import argparse
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
os.environ.update(RAYON_NUM_THREADS="1", TOKENIZERS_PARALLELISM="false")

from evalsuite.checkpoints import resolve  # noqa: E402
from evalsuite.data.folder import data_folder  # noqa: E402 - the threads are counted at import
from evalsuite.engine.protocol import Tokenizer  # noqa: E402
from evalsuite.engine.tokenizer import HuggingFaceTokenizer  # noqa: E402
from evalsuite.registry.registry import Registry  # noqa: E402
from evalsuite.requests.build import build_requests  # noqa: E402
from evalsuite.requests.prepare import prepare  # noqa: E402


class Counting:
    """A tokenizer that counts the characters that it receives."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self.characters = 0

    def __getattr__(self, name: str) -> object:
        return getattr(self._tokenizer, name)

    def encode(self, texts: Sequence[str], *, special_tokens: bool) -> list[list[int]]:
        """Encode and count, as in the protocol."""
        self.characters += sum(map(len, texts))
        return self._tokenizer.encode(texts, special_tokens=special_tokens)


@contextmanager
def timed(name: str) -> Iterator[None]:
    """Print the duration of the block."""
    began = time.perf_counter()
    yield
    print(f"{name:24} {time.perf_counter() - began:8.2f} s", flush=True)


def main() -> None:
    """Measure one task."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("address")
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--versus", action="store_true", help="encode whole texts too")
    options = parser.parse_args()
    [selected] = Registry.load().select([options.address])
    tokenizer = Counting(HuggingFaceTokenizer(resolve(options.model)))
    with timed("load the tokenizer"):
        tokenizer.encode(["warm"], special_tokens=False)
    with timed("read and draw"):
        prepared = prepare(selected, data_dir=data_folder(options.data))
    with timed("render"):
        prompts = prepared.prompts
    tokenizer.characters = 0
    with timed("encode"):
        asked = build_requests(prepared, tokenizer, None, 0)
    written = {text for prompt in prompts for text in (*prompt.contexts, *map("".join, prompt.pairs))}
    whole = sum(map(len, written))
    print(f"documents {len(asked)}, requests {sum(len(one.requests) for one in asked)}")
    print(f"characters of distinct texts {whole:,}, encoded {tokenizer.characters:,}")
    if options.versus:
        with timed("encode whole texts"):
            tokenizer.encode(list(written), special_tokens=False)


if __name__ == "__main__":
    main()
