"""Nemotron-H with random weights in evalsuite's engine, without a download or stored weights."""

import functools
import json
import math
import struct
from pathlib import Path
from typing import Any

from evalsuite.checkpoints import ModelFiles, resolve
from evalsuite.engine.native.engine import TransformersEngine
from evalsuite.engine.native.model import NativeModel

SIZES: dict[str, dict[str, Any]] = {
    "8b": {
        "hybrid_override_pattern": "M-M-M-M*-M-M-M-M-M*-M-M-M-M-M*-M-M-M-M-M*-M-M-M-M-M-",
        "hidden_size": 4096,
        "intermediate_size": 21504,
        "vocab_size": 131072,
        "max_position_embeddings": 8192,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "head_dim": 128,
        "mamba_num_heads": 128,
        "mamba_head_dim": 64,
        "ssm_state_size": 128,
        "n_groups": 8,
        "conv_kernel": 4,
        "chunk_size": 128,
    },
    "tiny": {
        "hybrid_override_pattern": "M-M*-M-",
        "hidden_size": 64,
        "intermediate_size": 128,
        "vocab_size": 49152,
        "max_position_embeddings": 8192,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 16,
        "mamba_num_heads": 8,
        "mamba_head_dim": 16,
        "ssm_state_size": 16,
        "n_groups": 2,
        "conv_kernel": 4,
        "chunk_size": 64,
        "initializer_range": 0.1,
    },
}
"""8b is `NemotronHConfig8B` of NVIDIA's Megatron-Bridge and NeMo; the chunk size changes no number."""


def config_of(size: str) -> Any:
    """transformers' configuration without an end token, so that every text has its full length."""
    from transformers import NemotronHConfig

    return NemotronHConfig(**SIZES[size], time_step_limit=(0.0, math.inf), eos_token_id=None)


def write_folder(folder: Path, size: str, tokenizer: str) -> ModelFiles:
    """Write a model folder whose weights file is sparse (holes of the right size).

    Args:
        folder: an empty folder.
        size: a key of `SIZES`.
        tokenizer: the model with the tokenizer, as for `--model`, or a folder with a tokenizer alone; its
            vocabulary may be smaller.

    Raises:
        SystemExit: the tokenizer's vocabulary is larger than the model's.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    config = config_of(size)
    if Path(tokenizer).is_dir():
        own = AutoTokenizer.from_pretrained(tokenizer)
    else:
        own = TransformersEngine(resolve(tokenizer), device="cpu").tokenizer._tokenizer
    if len(own) > config.vocab_size:
        raise SystemExit(f"The tokenizer of {tokenizer} has {len(own)} ids, the model {config.vocab_size}.")
    own.save_pretrained(folder)
    with torch.device("meta"):
        shapes = {
            name: list(weight.shape)
            for name, weight in AutoModelForCausalLM.from_config(config).state_dict().items()
        }
    config.save_pretrained(folder)
    _write_holes(folder / "model.safetensors", shapes)
    return resolve(str(folder))


def _write_holes(path: Path, shapes: dict[str, list[int]]) -> None:
    """A safetensors file of bfloat16 zeros; only its header uses disk space."""
    entries, end = {}, 0
    for name, shape in shapes.items():
        start, end = end, end + 2 * math.prod(shape)
        entries[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [start, end]}
    header = json.dumps(entries).encode()
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(header)) + header)
        file.truncate(8 + len(header) + end)


class RandomModel(NativeModel):
    """A model folder from `write_folder`, with random weights made on the device."""

    remembers_trials = False
    weights = "random"  # not the digest of 16 GB of holes, which would take half a minute

    @functools.cached_property
    def loaded(self) -> Any:
        """The model."""
        import torch
        from transformers import AutoConfig, AutoModelForCausalLM

        from evalsuite.engine.native.loading.load import ready
        from evalsuite.engine.native.models import support_for

        torch.manual_seed(0)
        config = AutoConfig.from_pretrained(self.files.folder)
        with torch.device(self.device):
            model = AutoModelForCausalLM.from_config(config, dtype=getattr(torch, self.dtype))
        loaded = ready(model, self.device, support_for(config.model_type).patch(model))
        self.notes = loaded.notes
        return loaded


class RandomEngine(TransformersEngine):
    """The engine for a folder from `write_folder`."""

    model_class = RandomModel

    def load(self) -> None:
        """Make the random weights now."""
        _ = self.model.memory  # before the weights use it
        super().load()
