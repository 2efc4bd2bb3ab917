"""Texts cut at blank lines and joins have the ids of the whole texts, whatever pre-tokenizer the model
has."""

from pathlib import Path
from random import Random

import pytest
from tokenizers import Regex, Tokenizer, models, pre_tokenizers, trainers

from evalsuite.requests import pieces
from evalsuite.requests.pieces import PieceEncoder

CORPUS = [(Path(__file__).parents[2] / "README.md").read_text("utf-8")]
BYTES = pre_tokenizers.ByteLevel.alphabet()
NEWLINES_WITH_PUNCTUATION = (
    r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def byte_level(**options) -> pre_tokenizers.PreTokenizer:
    return pre_tokenizers.ByteLevel(add_prefix_space=False, **options)


PRE_TOKENIZERS = {
    "as GPT-2": byte_level(),
    "single digits": pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), byte_level()]),
    "newlines with punctuation": pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(NEWLINES_WITH_PUNCTUATION), "isolated"), byte_level(use_regex=False)]
    ),
    "none": byte_level(use_regex=False),
    "a blank before every text": pre_tokenizers.ByteLevel(add_prefix_space=True),
}
SIGNS = [
    "a",
    "The",
    " cat",
    " ",
    "  ",
    "\n",
    "\n\n",
    "\n\n\n",
    ".",
    "...",
    "?",
    "1",
    "234",
    "é",
    "日本",
    "\t",
]
SIGNS += ["'s", " '", "Answer:", " B", "(x)", "-", "\r\n", "\u00a0", "$", "{", "\\frac"]


class Trained:
    """A tokenizer trained on our README, which counts the characters that it encodes."""

    def __init__(self, pre_tokenizer: pre_tokenizers.PreTokenizer) -> None:
        self._tokenizer = Tokenizer(models.BPE())
        self._tokenizer.pre_tokenizer = pre_tokenizer
        trainer = trainers.BpeTrainer(vocab_size=800, initial_alphabet=BYTES, show_progress=False)
        self._tokenizer.train_from_iterator(CORPUS, trainer)
        self.characters = 0

    def encode(self, texts, *, special_tokens):
        self.characters += sum(map(len, texts))
        return [one.ids for one in self._tokenizer.encode_batch(list(texts), add_special_tokens=False)]

    def one(self, text: str) -> tuple[int, ...]:
        return tuple(self._tokenizer.encode(text, add_special_tokens=False).ids)


@pytest.fixture(scope="module", params=PRE_TOKENIZERS)
def trained(request) -> Trained:
    return Trained(PRE_TOKENIZERS[request.param])


def written(random: Random) -> str:
    return "".join(random.choice(SIGNS) for _ in range(random.randint(1, 25)))


def prompts(random: Random) -> list[str]:
    shots = [written(random) for _ in range(6)]
    return ["\n\n".join([*random.sample(shots, 4), written(random)]) for _ in range(8)]


def test_pieces_have_the_ids_of_the_whole(trained, monkeypatch):
    monkeypatch.setattr(PieceEncoder, "_agrees", lambda self, composed: True)  # no second chance
    for seed in range(60):
        texts = prompts(Random(seed))
        found = PieceEncoder(trained).encode(texts)
        assert found == {text: trained.one(text) for text in texts}


def test_continuations_that_are_cut_off_have_the_ids_of_the_whole(trained):
    for seed in range(60):
        random = Random(seed)
        pairs = [(written(random).rstrip() or "x", f" {written(random)}") for _ in range(8)]
        for (context, continuation), ids in PieceEncoder(trained).encode_joined(pairs).items():
            assert trained.one(context) + ids == trained.one(context + continuation)


def test_shared_pieces_are_encoded_once():
    tokenizer = Trained(byte_level())
    shots = "\n\n".join(f"Question: what is {n} and {n}? Answer: {2 * n}" for n in range(20))
    texts = [f"{shots}\n\nQuestion: what is {n} and 7?" for n in range(200)]
    PieceEncoder(tokenizer).encode(texts)
    # The shots once, the questions, the surroundings of cuts, and the sample that is compared.
    assert tokenizer.characters < 0.4 * sum(map(len, texts))


def test_texts_that_share_nothing_are_encoded_whole():
    tokenizer = Trained(byte_level())
    texts = [written(Random(seed)) * 9 for seed in range(50)]
    assert PieceEncoder(tokenizer).encode(texts) == {text: tokenizer.one(text) for text in texts}


def test_a_sample_that_differs_sends_all_texts_through_whole(monkeypatch):
    tokenizer = Trained(byte_level())
    texts = prompts(Random(3))
    # Everything may be cut, says a tokenizer's surroundings that lie: only the sample notices.
    monkeypatch.setattr(
        PieceEncoder, "_test_cuts", lambda self, cuts: self._cuts.update(dict.fromkeys(cuts, True))
    )
    monkeypatch.setattr(PieceEncoder, "_pieces", lambda self, text: (text[:3], text[3:]))
    monkeypatch.setattr(pieces, "WORTHWHILE", 9.0)
    assert PieceEncoder(tokenizer).encode(texts) == {text: tokenizer.one(text) for text in texts}
