"""Texts, tokenizers and tiny models for held-out texts."""

from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from tests.engine.tiny import byte_tokenizer

PROSE = "The café opened at 9. Nobody came, not even Ñandú — «too early», they said.\n\n" * 9 + "Fin 🦤."
CODE = Path(__file__).read_text("utf-8")
BLANKS = "  two blanks\tand a tab\r\n\r\n\r\nlines that end as on Windows \n" * 5
TEXTS = {"prose": PROSE, "code": CODE, "blanks": BLANKS}


def bpe_tokenizer() -> PreTrainedTokenizerFast:
    """Byte-level BPE that puts a BOS token before each text, as Llama 3's."""
    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=400, special_tokens=["<s>", "</s>"], initial_alphabet=alphabet)
    inner.train_from_iterator(TEXTS.values(), trainer)
    inner.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    return PreTrainedTokenizerFast(tokenizer_object=inner, bos_token="<s>", eos_token="</s>")


def unigram_tokenizer() -> PreTrainedTokenizerFast:
    """A unigram model with byte fallback, as sentencepiece makes them; NFKC changes and drops characters."""
    inner = Tokenizer(models.Unigram())
    inner.normalizer = normalizers.NFKC()
    inner.pre_tokenizer = pre_tokenizers.Metaspace()
    inner.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Metaspace()])
    every = [f"<0x{byte:02X}>" for byte in range(256)]
    trainer = trainers.UnigramTrainer(vocab_size=150, special_tokens=["<unk>", "</s>"], unk_token="<unk>")
    inner.train_from_iterator(TEXTS.values(), trainer)
    content = inner.to_str()
    import json

    described = json.loads(content)
    described["model"]["vocab"] += [[piece, -20.0] for piece in every]
    described["model"]["byte_fallback"] = True
    inner = Tokenizer.from_str(json.dumps(described))
    return PreTrainedTokenizerFast(tokenizer_object=inner, eos_token="</s>", unk_token="<unk>")


TOKENIZERS = {"bytes": byte_tokenizer, "bpe": bpe_tokenizer, "unigram": unigram_tokenizer}


def tiny_model(folder: Path, tokenizer: PreTrainedTokenizerFast, seed: int = 0, window: int = 48) -> Path:
    """A Llama with a short window, so that each text needs several."""
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=512,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=window,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        initializer_range=0.1,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def write_texts(folder: Path, texts: dict[str, str] = TEXTS) -> Path:
    """Each text as a file, whose line ends stay."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        (folder / f"{name}.txt").write_bytes(text.encode())
    return folder
