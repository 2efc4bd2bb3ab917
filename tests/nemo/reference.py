"""Megatron's GPT with the layers of Nemotron-3, written from its description: head by head, in float64."""

import math

import torch


def logits(model, ids: list[int]) -> torch.Tensor:
    """Of every position (positions, vocabulary), from NeMo's own tensors."""
    settings = model.settings
    heads, width = settings["num_attention_heads"], settings["hidden_size"]
    groups = settings["num_query_groups"] or heads
    head = settings["kv_channels"] or width // heads
    rotated = int(head * settings["rotary_percentage"])

    def get(word, layer=None):
        found = model.tensors.get((word, layer))
        return None if found is None else found.double()

    def norm(x, name, layer=None):
        mean = x.mean(-1, keepdim=True)
        variance = ((x - mean) ** 2).mean(-1, keepdim=True)
        scaled = (x - mean) / torch.sqrt(variance + settings["layernorm_epsilon"])
        return scaled * (1 + get(f"{name}.weight", layer)) + get(f"{name}.bias", layer)

    def linear(x, name, layer):
        product = x @ get(f"{name}.weight", layer).T
        bias = get(f"{name}.bias", layer)
        return product if bias is None else product + bias

    def rotate(vector, position):
        """Rotary embedding of the first `rotated` numbers, as pairs (i, i + half)."""
        turned, half = vector.clone(), rotated // 2
        for i in range(half):
            angle = position / settings["rotary_base"] ** (2 * i / rotated)
            a, b = vector[i], vector[i + half]
            turned[i] = a * math.cos(angle) - b * math.sin(angle)
            turned[i + half] = b * math.cos(angle) + a * math.sin(angle)
        return turned

    def attend(x, layer):
        fused = linear(x, "qkv", layer)
        per_group = heads // groups
        outputs = []
        for number in range(heads):
            group = number // per_group
            start = group * (per_group + 2) * head
            query = fused[:, start + (number % per_group) * head :][:, :head]
            key = fused[:, start + per_group * head :][:, :head]
            value = fused[:, start + (per_group + 1) * head :][:, :head]
            query = torch.stack([rotate(one, place) for place, one in enumerate(query)])
            key = torch.stack([rotate(one, place) for place, one in enumerate(key)])
            rows = []
            for place in range(len(ids)):
                weights = torch.softmax(key[: place + 1] @ query[place] / math.sqrt(head), dim=0)
                rows.append(weights @ value[: place + 1])
            outputs.append(torch.stack(rows))
        return linear(torch.cat(outputs, dim=1), "attention_out", layer)

    x = get("embedding.weight")[ids]
    for layer in range(settings["num_layers"]):
        x = x + attend(norm(x, "attention_norm", layer), layer)
        inner = torch.relu(linear(norm(x, "mlp_norm", layer), "mlp_in", layer)) ** 2
        x = x + linear(inner, "mlp_out", layer)
    output = get("output.weight")
    return norm(x, "final_norm") @ (get("embedding.weight") if output is None else output).T
