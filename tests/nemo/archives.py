"""NeMo archives at test size: the same names, cuts and folders that NeMo writes, with random weights."""

import gzip
import io
import json
import shutil
import tarfile
from dataclasses import dataclass
from pathlib import Path

import torch
import yaml

TOKENIZER = "0123abcd_tiny_256k.model"

MEGATRON = {
    "embedding": "language_model.embedding.word_embeddings",
    "output": "language_model.output_layer",
    "final_norm": "language_model.encoder.final_layernorm",
    "attention_norm": "language_model.encoder.layers.{}.input_layernorm",
    "qkv": "language_model.encoder.layers.{}.self_attention.query_key_value",
    "attention_out": "language_model.encoder.layers.{}.self_attention.dense",
    "mlp_norm": "language_model.encoder.layers.{}.post_attention_layernorm",
    "mlp_in": "language_model.encoder.layers.{}.mlp.dense_h_to_4h",
    "mlp_out": "language_model.encoder.layers.{}.mlp.dense_4h_to_h",
}
CORE = {
    "embedding": "embedding.word_embeddings",
    "output": "output_layer",
    "final_norm": "decoder.final_layernorm",
    "attention_norm": "decoder.layers.{}.self_attention.linear_qkv.layer_norm_",
    "qkv": "decoder.layers.{}.self_attention.linear_qkv",
    "attention_out": "decoder.layers.{}.self_attention.linear_proj",
    "mlp_norm": "decoder.layers.{}.mlp.linear_fc1.layer_norm_",
    "mlp_in": "decoder.layers.{}.mlp.linear_fc1",
    "mlp_out": "decoder.layers.{}.mlp.linear_fc2",
}
CORE_WITHOUT_KERNELS = CORE | {
    "attention_norm": "decoder.layers.{}.input_layernorm",
    "mlp_norm": "decoder.layers.{}.pre_mlp_layernorm",
}
TRANSFORMER_ENGINE = MEGATRON | {
    "attention_norm": "language_model.encoder.layers.{}.self_attention.layernorm_qkv.layer_norm_",
    "qkv": "language_model.encoder.layers.{}.self_attention.layernorm_qkv",
    "attention_out": "language_model.encoder.layers.{}.self_attention.proj",
    "mlp_norm": "language_model.encoder.layers.{}.layernorm_mlp.layer_norm_",
    "mlp_in": "language_model.encoder.layers.{}.layernorm_mlp.fc1_",
    "mlp_out": "language_model.encoder.layers.{}.layernorm_mlp.fc2_",
}
NAMINGS = {
    "megatron": MEGATRON,
    "core": CORE,
    "core without kernels": CORE_WITHOUT_KERNELS,
    "transformer engine": TRANSFORMER_ENGINE,
}
ROWS = ("embedding.weight", "output.weight", "qkv.weight", "qkv.bias", "mlp_in.weight", "mlp_in.bias")
COLUMNS = ("attention_out.weight", "mlp_out.weight")


@dataclass(frozen=True)
class Gpt:
    """A tiny GPT as NeMo keeps it: tensors by (word, layer), and its settings."""

    tensors: dict
    settings: dict


def gpt(
    *,
    seed=0,
    layers=4,
    width=32,
    heads=4,
    groups=None,
    inner=48,
    vocabulary=512,
    bias=False,
    tied=False,
    head_width=None,
    dtype=torch.float32,
    rotary_percentage=0.5,
    rotary_base=10000,
) -> Gpt:
    generator = torch.Generator().manual_seed(seed)

    def numbers(*shape):
        return (0.3 * torch.randn(shape, generator=generator)).to(dtype)

    head = head_width or width // heads
    rows = (heads + 2 * (groups or heads)) * head
    shapes = {
        "attention_norm.weight": (width,),
        "attention_norm.bias": (width,),
        "qkv.weight": (rows, width),
        "attention_out.weight": (width, heads * head),
        "mlp_norm.weight": (width,),
        "mlp_norm.bias": (width,),
        "mlp_in.weight": (inner, width),
        "mlp_out.weight": (width, inner),
    }
    if bias:
        shapes |= {
            "qkv.bias": (rows,),
            "attention_out.bias": (width,),
            "mlp_in.bias": (inner,),
            "mlp_out.bias": (width,),
        }
    tensors = {("embedding.weight", None): numbers(vocabulary, width)}
    for layer in range(layers):
        tensors |= {(word, layer): numbers(*shape) for word, shape in shapes.items()}
    tensors |= {("final_norm.weight", None): numbers(width), ("final_norm.bias", None): numbers(width)}
    if not tied:
        tensors["output.weight", None] = numbers(vocabulary, width)
    settings = {
        "target": "nemo.collections.nlp.models.language_modeling.megatron_gpt_model.MegatronGPTModel",
        "nemo_version": "1.21.0",
        "encoder_seq_length": 128,
        "max_position_embeddings": "${.encoder_seq_length}",
        "num_layers": layers,
        "hidden_size": width,
        "ffn_hidden_size": inner,
        "num_attention_heads": heads,
        "num_query_groups": groups,
        "kv_channels": head_width,
        "layernorm_epsilon": 1e-5,
        "init_method_std": 0.01,
        "bias": bias,
        "normalization": "layernorm1p",
        "activation": "squared-relu",
        "position_embedding_type": "rope",
        "rotary_percentage": rotary_percentage,
        "rotary_base": rotary_base,
        "share_embeddings_and_output_weights": tied,
        "make_vocab_size_divisible_by": 128,
        "precision": "bf16",
        "tokenizer": {"library": "sentencepiece", "type": None, "model": f"nemo:{TOKENIZER}"},
    }
    return Gpt(tensors, settings)


def state_dict(model: Gpt, naming: str, *, tp=(0, 1), pp=(0, 1), prefix="model.") -> dict:
    """What rank `tp[0]` of `tp[1]` and stage `pp[0]` of `pp[1]` holds."""
    layers = model.settings["num_layers"] // pp[1]
    names = {}
    for (word, layer), tensor in model.tensors.items():
        if layer is not None and layer // layers != pp[0]:
            continue
        if layer is None and pp[0] != (0 if word.startswith("embedding") else pp[1] - 1):
            continue
        names[prefix + name_of(word, naming, layer and layer % layers)] = slice_of(word, tensor, *tp)
    return names


def name_of(word: str, naming: str, layer: int | None) -> str:
    module, kind = word.split(".")
    start = NAMINGS[naming][module].format(layer)
    return start + kind if start.endswith("_") else f"{start}.{kind}"


def slice_of(word, tensor, rank, ranks):
    if ranks > 1 and word in ROWS + COLUMNS:
        return tensor.chunk(ranks, dim=int(word in COLUMNS))[rank].clone()
    return tensor


def write(
    folder: Path,
    model: Gpt,
    pieces: bytes,
    naming="core",
    *,
    tp=1,
    pp=1,
    prefix="model.",
    name="tiny.nemo",
    extras=None,
    settings=None,
    compressed=False,
) -> Path:
    """An archive with one weight file for each rank."""
    files = {}
    for stage in range(pp):
        for rank in range(tp):
            tensors = state_dict(model, naming, tp=(rank, tp), pp=(stage, pp), prefix=prefix) | (extras or {})
            files[f"{rank_folder(rank, tp, stage, pp)}model_weights.ckpt"] = saved(tensors)
    chosen = (
        model.settings
        | {"tensor_model_parallel_size": tp, "pipeline_model_parallel_size": pp}
        | (settings or {})
    )
    return pack(folder / name, files, chosen, pieces, compressed=compressed)


def rank_folder(rank: int, tp: int, stage: int, pp: int) -> str:
    if pp > 1:
        return f"tp_rank_{rank:02d}_pp_rank_{stage:03d}/"
    return f"mp_rank_{rank:02d}/" if tp > 1 else ""


def saved(content) -> bytes:
    file = io.BytesIO()
    torch.save(content, file)
    return file.getvalue()


def pack(path: Path, files: dict, settings: dict, pieces: bytes | None, *, compressed=False) -> Path:
    """A tar as NeMo makes it: folders first, every name with a leading `./`."""
    content = {"model_config.yaml": yaml.safe_dump(settings).encode(), **files}
    if pieces is not None:
        content[TOKENIZER] = pieces
    with tarfile.open(path, "w:gz" if compressed else "w:") as tar:
        folders = {str(parent) for name in content for parent in Path(name).parents}
        for name in sorted(folders):
            add(tar, name if name == "." else f"./{name}", type=tarfile.DIRTYPE)
        for name, data in sorted(content.items()):
            add(tar, f"./{name}", data)
    return path


def add(tar: tarfile.TarFile, name: str, data: bytes = b"", **fields) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    for field, value in fields.items():
        setattr(info, field, value)
    tar.addfile(info, io.BytesIO(data))


def zarr_files(model: Gpt, *, cuts: int = 2, prefix="model.") -> dict:
    """A distributed checkpoint of Megatron-Core's kind `zarr`: layers stacked, chunks of one rank's size."""
    files = {
        "model_weights/metadata.json": json.dumps(
            {"sharded_backend": "zarr", "sharded_backend_version": 1}
        ).encode()
    }
    for name, (word, tensor) in stacked(model, prefix).items():
        axis = split_axis(word)
        shape, chunks = list(tensor.shape), list(tensor.shape)
        if word not in ("embedding.weight", "output.weight", "final_norm.weight", "final_norm.bias"):
            chunks[0] = 1
            axis = None if axis is None else axis + 1
        if axis is not None:
            chunks[axis] = -(-shape[axis] // cuts)
        kind = {torch.float32: "<f4", torch.bfloat16: "bfloat16", torch.float16: "<f2"}[tensor.dtype]
        header = {
            "shape": shape,
            "chunks": chunks,
            "dtype": kind,
            "compressor": None,
            "fill_value": None,
            "filters": None,
            "order": "C",
            "zarr_format": 2,
        }
        files[f"model_weights/{name}/.zarray"] = json.dumps(header).encode()
        grid = torch.cartesian_prod(*[torch.arange(-(-s // c)) for s, c in zip(shape, chunks, strict=True)])
        for at in grid.reshape(-1, len(shape)).tolist():
            box = torch.zeros(chunks, dtype=tensor.dtype)
            part = tensor[tuple(slice(i * c, (i + 1) * c) for i, c in zip(at, chunks, strict=True))]
            box[tuple(slice(0, length) for length in part.shape)] = part
            files[f"model_weights/{name}/{'.'.join(map(str, at))}"] = box.view(torch.uint8).numpy().tobytes()
    return files


def torch_dist_files(model: Gpt, scratch: Path, prefix="model.") -> dict:
    """A distributed checkpoint of Megatron-Core's kind `torch_dist`, written by PyTorch itself."""
    import torch.distributed.checkpoint as dcp

    tensors = {name: tensor for name, (_, tensor) in stacked(model, prefix).items()}
    dcp.save(tensors, storage_writer=dcp.FileSystemWriter(scratch), no_dist=True)
    files = {f"model_weights/{one.name}": one.read_bytes() for one in scratch.iterdir()}
    files["model_weights/metadata.json"] = json.dumps({"sharded_backend": "torch_dist"}).encode()
    shutil.rmtree(scratch)
    return files


def stacked(model: Gpt, prefix: str) -> dict:
    """Word and tensor by name: one tensor for all layers."""
    words = dict(model.tensors.keys())
    found = {}
    for word, layer in words.items():
        name = prefix + name_of(word, "core", layer).replace(f"layers.{layer}.", "layers.")
        if layer is None:
            found[name] = word, model.tensors[word, None]
        else:
            found[name] = word, torch.stack([t for (w, _), t in model.tensors.items() if w == word])
    return found


def split_axis(word: str) -> int | None:
    return 0 if word in ROWS else 1 if word in COLUMNS else None


def gunzip(path: Path) -> bytes:
    return gzip.decompress(path.read_bytes())
