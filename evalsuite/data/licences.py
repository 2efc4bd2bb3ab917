"""The licence of a data set: as its card states it, or else as its authors do."""

import re
from contextlib import nullcontext
from pathlib import Path

from evalsuite.data.hub import offline
from evalsuite.files.yaml_files import BadYaml, load_yaml
from evalsuite.offline import why_unreachable

NOT_STATED = "unknown"

BY_AUTHORS = {
    "EleutherAI/hendrycks_math": "MIT",
    "EleutherAI/lambada_openai": "MIT",
    "EleutherAI/race": "for non-commercial research",
    "HuggingFaceH4/MATH-500": "not stated for the subset; MATH is MIT",
    "Rowan/hellaswag": "MIT",
    "TIGER-Lab/MMLU-Pro": "MIT",
    "allenai/ai2_arc": "CC BY-SA 4.0",
    "allenai/openbookqa": "unknown; the authors' code is Apache-2.0",
    "allenai/sciq": "CC BY-NC 3.0",
    "allenai/social_i_qa": "CC BY 4.0",
    "allenai/winogrande": "CC BY 2.0",
    "aps/super_glue": "see the SuperGLUE site; BoolQ is CC BY-SA 3.0",
    "cais/mmlu": "MIT",
    "evalplus/humanevalplus": "Apache-2.0",
    "evalplus/mbppplus": "Apache-2.0",
    "google-research-datasets/mbpp": "CC BY 4.0",
    "google-research-datasets/nq_open": "CC BY-SA 3.0",
    "google-research-datasets/tydiqa": "Apache-2.0",
    "google/boolq": "CC BY-SA 3.0",
    **{
        f"hails/agieval-{exam}": "MIT (AGIEval)"
        for exam in (
            "aqua-rat",
            "logiqa-en",
            "lsat-ar",
            "lsat-lr",
            "lsat-rc",
            "sat-en",
            "sat-en-without-passage",
            "sat-math",
        )
    },
    "hails/mmlu_no_train": "MIT",
    "juletxara/mgsm": "CC BY-SA 4.0",
    "mandarjoshi/trivia_qa": "unknown; the authors' code is Apache-2.0",
    "openai/gsm8k": "MIT",
    "openai/openai_humaneval": "MIT",
    "stanfordnlp/web_questions": "CC BY 4.0",
    "tau/commonsense_qa": "MIT",
    "truthfulqa/truthful_qa": "Apache-2.0",
    "ybisk/piqa": "Academic Free License 3.0",
}
"""Licences that the authors state, for data whose card is not at hand or states none."""


def licence_of(id: str, data_dir: Path | None) -> str:
    """The licence of a hub dataset: by its card in the user's mirror or on the hub, or by its authors."""
    mirrored = data_dir / id / "README.md" if data_dir else None
    card = mirrored if mirrored and mirrored.is_file() else _hub_card(id)
    return (_licence_in(card) if card else "") or BY_AUTHORS.get(id, NOT_STATED)


def _hub_card(id: str) -> Path | None:
    """The dataset's README.md from the hub or its cache; None if neither has it."""
    import huggingface_hub

    try:
        with offline() if why_unreachable("HF_DATASETS_OFFLINE") else nullcontext():
            return Path(huggingface_hub.hf_hub_download(id, "README.md", repo_type="dataset"))
    # huggingface_hub raises any error of its transport, and ValueError for a name that is no hub id.
    except Exception:
        return None


def _licence_in(card: Path) -> str:
    """The header's `license`, a word or a list of words; empty if it states none."""
    try:
        header = re.match(r"---\s*\n(.*?)\n---", card.read_text("utf-8"), re.DOTALL)
        fields = load_yaml(header[1]) if header else {}
    except (OSError, UnicodeDecodeError, BadYaml):
        return ""
    stated = fields.get("license") if isinstance(fields, dict) else None
    return ", ".join(map(str, stated if isinstance(stated, list) else [stated])) if stated else ""
