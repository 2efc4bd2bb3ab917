"""A valid spec of each format, to be changed one field at a time."""

from typing import Any

CLOZE: dict[str, Any] = {
    "recipe": "ours",
    "task": "quiz",
    "version": 1,
    "source": {"status": "ours"},
    "format": "cloze",
    "question": "Q: {{ stem }}\nA:",
    "scorer": "choice",
    "metrics": ["acc"],
}
LETTERS = CLOZE | {"format": "letters"}
GENERATE = CLOZE | {
    "format": "generate",
    "answer": "{{ solution }}",
    "generation": {"stop": ["Q:"]},
    "scorer": "exact_match",
    "metrics": ["exact_match"],
}
CODE = CLOZE | {
    "format": "code",
    "generation": {},
    "code": {},
    "scorer": "code",
    "metrics": ["pass@1"],
}
TEXT = CLOZE | {
    "format": "text",
    "question": "",
    "delimiter": "",
    "join": "rolling",
    "scorer": "text",
    "metrics": ["bits_per_byte"],
}
