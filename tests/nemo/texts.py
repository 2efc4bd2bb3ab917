"""A small SentencePiece model with the settings of the real one; texts to train it on and to try it with."""

import io
import random
from pathlib import Path

ROOT = Path(__file__).parents[2]
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
    *" \n\tabcdeABC019.,:<>/{}()▁_é漢😀",
    "\u3000",
    "<s>",
    "</s>",
    "<unk>",
    "<pad>",
    "<0x0A>",
    "  ",
    "    ",
    "the",
    "tion",
    "ab",
    "aa",
    "<extra_id_0>",
    "<extra_id_1>",
]


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


def train(**settings) -> bytes:
    """A BPE model: digits apart, white space kept, bytes for what it does not know, symbols for turns."""
    import sentencepiece

    model = io.BytesIO()
    chosen = {
        "vocab_size": 500,
        "model_type": "bpe",
        "byte_fallback": True,
        "split_digits": True,
        "normalization_rule_name": "identity",
        "remove_extra_whitespaces": False,
        "allow_whitespace_only_pieces": True,
        "user_defined_symbols": ["<extra_id_0>", "<extra_id_1>"],
        "character_coverage": 0.99,
        "unk_id": 0,
        "pad_id": 1,
        "bos_id": 2,
        "eos_id": 3,
    } | settings
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(corpus()),
        model_writer=model,
        hard_vocab_limit=False,
        minloglevel=2,
        num_threads=1,
        **chosen,
    )
    return model.getvalue()
