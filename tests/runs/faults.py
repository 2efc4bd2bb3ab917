"""Faults of an export, planted in SmolLM2-135M: weights, configuration or tokenizer of a folder are damaged.

`python -m tests.runs.faults` prints what finds each of them: loading (names and shapes), the smoke test, a
comparison of the smoke test with that of the checkpoint before, or nothing.
"""

import copy
import json
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from huggingface_hub import save_torch_state_dict

from evalsuite.checkpoints import resolve
from evalsuite.engine.engines import make_engine
from evalsuite.errors import UserError
from evalsuite.progress import Silent
from evalsuite.results.run_spec import RunSpec
from evalsuite.results.smoke import SmokeRecord, jump_since
from evalsuite.results.store import ResponseStore
from evalsuite.runs.answering import answer_smoke_test
from evalsuite.runs.engine import engine_spec
from evalsuite.runs.smoke import SmokeTest

Weights = dict[str, torch.Tensor]
Config = dict[str, object]
LAYERS, HEADS, KV_HEADS, HEAD = 30, 9, 3, 64
"""Of SmolLM2-135M."""
NORMS = ("input_layernorm", "post_attention_layernorm", "norm.weight")


@dataclass(frozen=True)
class Export:
    """What an exporter writes."""

    weights: Weights
    config: Config
    tokenizer: Config
    """Content of `tokenizer.json`."""

    def write(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "config.json").write_text(json.dumps(self.config), "utf-8")
        (folder / "tokenizer.json").write_text(json.dumps(self.tokenizer), "utf-8")
        names = {"bos_token": "<|im_start|>", "eos_token": "<|im_end|>"}
        (folder / "tokenizer_config.json").write_text(
            json.dumps({"tokenizer_class": "PreTrainedTokenizerFast", **names}), "utf-8"
        )
        save_torch_state_dict(
            {name: tensor.contiguous().clone() for name, tensor in self.weights.items()}, str(folder)
        )

    def copied(self) -> "Export":
        return Export(dict(self.weights), copy.deepcopy(self.config), copy.deepcopy(self.tokenizer))


def smollm2() -> Export:
    """SmolLM2-135M as an exporter would write it, in float32, with an output matrix of its own."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    files = resolve("smollm2-135m")
    model = AutoModelForCausalLM.from_pretrained(files.folder, gguf_file=files.gguf_file, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(files.folder, gguf_file=files.gguf_file)
    config = {name: value for name, value in model.config.to_dict().items() if name != "quantization_config"}
    weights = {name: tensor.detach() for name, tensor in model.state_dict().items()}
    weights["lm_head.weight"] = weights["model.embed_tokens.weight"].clone()
    return Export(
        weights,
        config | {"tie_word_embeddings": False},
        json.loads(tokenizer.backend_tokenizer.to_str()),
    )


Change = Callable[[Export], None]


def each(part: str, change: Callable[[torch.Tensor], torch.Tensor], layers: range = range(LAYERS)) -> Change:
    """A change of one matrix in each of some layers."""

    def changed(export: Export) -> None:
        for layer in layers:
            name = f"model.layers.{layer}.{part}.weight"
            export.weights[name] = change(export.weights[name])

    return changed


def exchanged(first: str, second: str, layers: range = range(LAYERS)) -> Change:
    """Two names stand for each other's tensors."""

    def changed(export: Export) -> None:
        for layer in layers:
            one, other = (f"model.layers.{layer}.{part}.weight" for part in (first, second))
            export.weights[one], export.weights[other] = export.weights[other], export.weights[one]

    return changed


def layers_swapped(first: int, second: int) -> Change:
    def changed(export: Export) -> None:
        for name in [name for name in export.weights if name.startswith(f"model.layers.{first}.")]:
            other = name.replace(f".{first}.", f".{second}.", 1)
            export.weights[name], export.weights[other] = export.weights[other], export.weights[name]

    return changed


def norms(change: Callable[[torch.Tensor], torch.Tensor]) -> Change:
    def changed(export: Export) -> None:
        for name in export.weights:
            if any(part in name for part in NORMS):
                export.weights[name] = change(export.weights[name])

    return changed


def one(name: str, change: Callable[[torch.Tensor], torch.Tensor]) -> Change:
    def changed(export: Export) -> None:
        export.weights[name] = change(export.weights[name])

    return changed


def configured(**fields: object) -> Change:
    def changed(export: Export) -> None:
        export.config.update(fields)

    return changed


def together(*changes: Change) -> Change:
    def changed(export: Export) -> None:
        for change in changes:
            change(export)

    return changed


def without(name: str) -> Change:
    def changed(export: Export) -> None:
        del export.weights[name]

    return changed


def interleaved(tensor: torch.Tensor) -> torch.Tensor:
    """Rows of each head as the original Llama layout pairs them: the rotary permutation is left out."""
    rows = tensor.view(-1, 2, HEAD // 2, tensor.shape[1])
    return rows.transpose(1, 2).reshape(tensor.shape)


def half_zero(export: Export) -> None:
    """The second half of the shard with the last third of the layers was never written."""
    for layer in range(25, LAYERS):
        for name in export.weights:
            if name.startswith(f"model.layers.{layer}."):
                export.weights[name] = torch.zeros_like(export.weights[name])


def one_rank_twice(tensor: torch.Tensor) -> torch.Tensor:
    """The rows of the first of two tensor-parallel ranks stand in for those of the second."""
    half = tensor[: tensor.shape[0] // 2]
    return torch.cat((half, half))


def shifted_vocabulary(export: Export) -> None:
    """A tokenizer of the same family with one more token in front of the ordinary ones."""
    vocabulary = export.tokenizer["model"]["vocab"]
    first, last = 17, len(vocabulary) - 1
    for piece, token in vocabulary.items():
        if token >= first:
            vocabulary[piece] = token + 1 if token < last else first


def another_tokenizer(export: Export) -> None:
    """A tokenizer that was trained on other text, with a vocabulary that fits into the model's."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    other = Tokenizer(models.BPE())
    other.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    other.decoder = decoders.ByteLevel()
    text = [path.read_text("utf-8") for path in sorted(Path(__file__).parents[2].glob("docs/*.md"))]
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    other.train_from_iterator(
        text,
        trainers.BpeTrainer(
            vocab_size=8000, special_tokens=special, initial_alphabet=alphabet, show_progress=False
        ),
    )
    export.tokenizer.clear()
    export.tokenizer.update(json.loads(other.to_str()))


def untrained(export: Export) -> None:
    """Step 0: the weights as a trainer draws them."""
    generator = torch.Generator().manual_seed(0)
    for name, tensor in export.weights.items():
        if tensor.dim() > 1:
            export.weights[name] = torch.randn(tensor.shape, generator=generator) * 0.02
        else:
            export.weights[name] = torch.ones_like(tensor)


def other_bits(tensor: torch.Tensor) -> torch.Tensor:
    """Bytes of bfloat16 that were read as float16."""
    return tensor.bfloat16().view(torch.float16).float()


def coarse(tensor: torch.Tensor) -> torch.Tensor:
    """Quantised to 3 bits with one scale per matrix."""
    step = tensor.abs().max() / 3
    return (tensor / step).round().clamp(-3, 3) * step


def a_head_is_zero(tensor: torch.Tensor) -> torch.Tensor:
    changed = tensor.clone()
    changed[:HEAD] = 0
    return changed


def a_nan(tensor: torch.Tensor) -> torch.Tensor:
    changed = tensor.clone()
    changed[0, 0] = float("nan")
    return changed


Q, K, V, O = (f"self_attn.{name}_proj" for name in "qkvo")  # noqa: E741
UP, GATE, DOWN = "mlp.up_proj", "mlp.gate_proj", "mlp.down_proj"

LOADING, SMOKE, COMPARISON, NOTHING = "loading", "smoke test", "comparison", "nothing"
FINDERS = (LOADING, SMOKE, COMPARISON, NOTHING)
"""What finds a fault: names and shapes, the smoke test, its comparison with the step before, or nothing."""

FAULTS: dict[str, Change] = {
    "Q and K exchanged": exchanged(Q, K),
    "a norm is missing": without("model.layers.7.input_layernorm.weight"),
    "the configuration has a layer fewer": configured(num_hidden_layers=LAYERS - 1),
    "a matrix written transposed (down)": each(DOWN, lambda tensor: tensor.T, range(12, 13)),
    "K and V exchanged": exchanged(K, V),
    "gate and up exchanged": exchanged(GATE, UP),
    "rotary permutation left out": together(each(Q, interleaved), each(K, interleaved)),
    "rotary permutation of K alone": each(K, interleaved),
    "rotary base 10,000 in place of 100,000": configured(
        rope_theta=10000.0, rope_parameters={"rope_type": "default", "rope_theta": 10000.0}
    ),
    "square matrix transposed (output of attention)": each(O, lambda tensor: tensor.T),
    "two neighbouring layers swapped": layers_swapped(14, 15),
    "two distant layers swapped": layers_swapped(3, 25),
    "norm weights without their one": norms(lambda tensor: tensor - 1),
    "norm weights with one added": norms(lambda tensor: tensor + 1),
    "final norm left at ones": one("model.norm.weight", torch.ones_like),
    "the last sixth of the layers zero": half_zero,
    "one layer zero": together(
        *(each(part, torch.zeros_like, range(12, 13)) for part in (Q, K, V, O, UP, GATE, DOWN))
    ),
    "first tensor-parallel rank twice (MLP)": together(each(UP, one_rank_twice), each(GATE, one_rank_twice)),
    "heads of K in another order": each(K, lambda tensor: tensor.roll(HEAD, 0)),
    "vocabulary rows shifted by one": together(
        one("model.embed_tokens.weight", lambda tensor: tensor.roll(1, 0)),
        one("lm_head.weight", lambda tensor: tensor.roll(1, 0)),
    ),
    "output matrix not written, drawn anew": one(
        "lm_head.weight", lambda t: torch.randn(t.shape, generator=torch.Generator().manual_seed(0)) * 0.02
    ),
    "a tokenizer with one more token in front": shifted_vocabulary,
    "another tokenizer": another_tokenizer,
    "GELU in place of SiLU": configured(hidden_act="gelu"),
    "scale of a quantised matrix left out (down / 8)": each(DOWN, lambda tensor: tensor / 8),
    "bfloat16 read as float16 (up)": each(UP, other_bits),
    "3 bits in place of 16 (up)": each(UP, coarse),
    "one head of one layer zero": each(Q, a_head_is_zero, range(12, 13)),
    "one NaN": one("model.layers.12.mlp.up_proj.weight", a_nan),
    "step 0": untrained,
}
"""Each fault by its name; the first four change names or shapes."""


def measured(folder: Path) -> SmokeRecord | str:
    """The smoke test of an export; the error if it cannot be loaded."""
    try:
        files = resolve(str(folder))
        engine = make_engine(engine_spec(RunSpec(tasks=(), model=str(folder), device="cpu"), files))
        test = SmokeTest.of(engine.tokenizer, engine.max_length)
        store = ResponseStore(folder.with_name("responses.sqlite"))
        return test.judged(answer_smoke_test(test.distinct, engine, store, Silent()).by_request)
    except UserError as error:
        return str(error)


def finder(sound: SmokeRecord, found: SmokeRecord | str) -> str:
    """What finds a fault."""
    if isinstance(found, str):
        return LOADING
    if found.passed is False:
        return SMOKE
    return COMPARISON if jump_since(sound, found) else NOTHING


def planted(export: Export) -> Iterator[tuple[str, Path]]:
    """A folder with each fault in turn, deleted when the next one is asked for."""
    for name, change in FAULTS.items():
        damaged = export.copied()
        change(damaged)
        with tempfile.TemporaryDirectory() as folder:
            damaged.write(Path(folder, "export"))
            yield name, Path(folder, "export")


def results() -> Iterator[tuple[str, SmokeRecord | str, str]]:
    """Each fault with its measurement and what finds it; the sound export comes first."""
    export = smollm2()
    with tempfile.TemporaryDirectory() as folder:
        export.write(Path(folder, "export"))
        sound = measured(Path(folder, "export"))
    assert isinstance(sound, SmokeRecord)
    yield "none", sound, finder(sound, sound)
    for name, folder in planted(export):
        found = measured(folder)
        yield name, found, finder(sound, found)


def main() -> None:
    """Print the table of docs/smoke.md."""
    counts = dict.fromkeys(FINDERS, 0)
    print("| fault | English | program | found by |")
    print("| --- | --- | --- | --- |")
    for name, found, by in results():
        english = program = "—"
        if isinstance(found, SmokeRecord) and found.english is not None:
            english, program = f"{found.english:.2f}", f"{found.program:.2f}"
        print(f"| {name} | {english} | {program} | {by} |", flush=True)
        counts[by] += name in FAULTS
    print(", ".join(f"{by}: {count}" for by, count in counts.items()))


if __name__ == "__main__":
    main()
