"""The source of transformers' modeling code of a model, to judge the model before loading anything."""

import functools
import importlib.util
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

CAUSAL_CLASSES = "MODEL_FOR_CAUSAL_LM_MAPPING_NAMES"


def modeling_code(config: Mapping[str, Any]) -> str:
    """Source of transformers' modules for a model, and for its text model if it is a container; or empty.

    Args:
        config: the `config.json`, with `model_type`, and for a container of several models `text_config`.
    """
    text_config = config.get("text_config")
    families = [config.get("model_type"), *([text_config.get("model_type")] if text_config else [])]
    found = dict.fromkeys(_code_of_family(family) for family in families if isinstance(family, str))
    return "\n".join(code for code in found if code)


@functools.cache
def _code_of_family(family: str) -> str:
    """Source of the module named after a `model_type`, else of the module that defines its causal class."""
    package = importlib.util.find_spec("transformers")
    if package is None or package.origin is None:
        return ""
    models = Path(package.origin).parent / "models"
    for name in (family.replace("-", "_"), family.removesuffix("_text")):
        if (path := _module(models, name)).is_file():
            return path.read_text("utf-8")
    classes = _causal_classes(models)
    for other, name in classes.items():
        if name == classes.get(family) and (path := _module(models, other.replace("-", "_"))).is_file():
            code = path.read_text("utf-8")
            if f"class {name}(" in code:
                return code
    return ""


def _module(models: Path, name: str) -> Path:
    return models / name / f"modeling_{name}.py"


def _causal_classes(models: Path) -> dict[str, str]:
    """Class names of causal language models by `model_type`, from transformers' auto classes."""
    path = models / "auto" / "modeling_auto.py"
    code = path.read_text("utf-8") if path.is_file() else ""
    table = code.partition(f"\n{CAUSAL_CLASSES} = ")[2].partition("\n)\n")[0]
    return dict(re.findall(r'\(\s*"([\w-]+)",\s*"(\w+)",?\s*\)', table))
