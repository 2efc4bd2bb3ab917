"""Texts to train a tokenizer on and to try it with."""

import random
from pathlib import Path

ROOT = Path(__file__).parents[3]
SCRIPTS = [
    "naïve café",
    "Привет, мир",
    "こんにちは世界。",
    "你好，世界",
    "안녕하세요",
    "שלום עולם",
    "नमस्ते दुनिया",
    "ＦＵＬＬ　width",
    "😀👍🏽",
]
PARTS = [
    *" \n\tabcdeABC019.,:<>/{}()▁_é漢😀", "\u3000", "<s>", "</s>", "<unk>", "<pad>", "<0x0A>", "  ", "    ", "the", "tion",
    "ab", "aa", "<extra_id_0>", "<extra_id_1>",
]  # fmt: skip


def corpus() -> list[str]:
    """Lines of this repository's documents, and some of other scripts."""
    lines = [
        line for path in sorted((ROOT / "docs").glob("*.md")) for line in path.read_text("utf-8").split("\n")
    ]
    return [line for line in lines if line.strip()] + SCRIPTS * 3


def mixtures(count: int, seed: int = 0) -> list[str]:
    """Random strings of what is hard for a tokenizer, and pieces of the corpus with their line breaks."""
    rng = random.Random(seed)
    whole = "\n".join(corpus())
    cuts = [
        whole[start : start + rng.randint(1, 300)]
        for start in (rng.randrange(len(whole)) for _ in range(count))
    ]
    return ["".join(rng.choices(PARTS, k=rng.randint(2, 40))) for _ in range(count)] + cuts
