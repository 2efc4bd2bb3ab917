"""evalsuite: evaluates base language models by the exact protocols of published numbers.

import evalsuite

log = evalsuite.run(tasks="mmlu,gsm8k", model="8b")
log.to_pandas()
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from evalsuite.api import plan, run
    from evalsuite.data.refs import DatasetRef, Pin
    from evalsuite.errors import UserError
    from evalsuite.prompting.spec import PromptSpec
    from evalsuite.results.cards_compare import compare_with_card
    from evalsuite.results.compare import compare
    from evalsuite.results.compare_document import Comparison
    from evalsuite.results.gate import gate
    from evalsuite.results.gate_document import GateReport
    from evalsuite.results.runlog import RunLog, read_run
    from evalsuite.results.trend import trend
    from evalsuite.task import Task
    from evalsuite.types import ClozePair, MultipleChoice, OpenAnswer

_HOMES = {
    "ClozePair": "evalsuite.types",
    "Comparison": "evalsuite.results.compare_document",
    "DatasetRef": "evalsuite.data.refs",
    "GateReport": "evalsuite.results.gate_document",
    "MultipleChoice": "evalsuite.types",
    "OpenAnswer": "evalsuite.types",
    "Pin": "evalsuite.data.refs",
    "PromptSpec": "evalsuite.prompting.spec",
    "RunLog": "evalsuite.results.runlog",
    "Task": "evalsuite.task",
    "UserError": "evalsuite.errors",
    "compare": "evalsuite.results.compare",
    "compare_with_card": "evalsuite.results.cards_compare",
    "gate": "evalsuite.results.gate",
    "plan": "evalsuite.api",
    "read_run": "evalsuite.results.runlog",
    "run": "evalsuite.api",
    "trend": "evalsuite.results.trend",
}

__all__ = [
    "ClozePair",
    "Comparison",
    "DatasetRef",
    "GateReport",
    "MultipleChoice",
    "OpenAnswer",
    "Pin",
    "PromptSpec",
    "RunLog",
    "Task",
    "UserError",
    "compare",
    "compare_with_card",
    "gate",
    "plan",
    "read_run",
    "run",
    "trend",
]


def __getattr__(name: str) -> Any:
    """Public names load when they are used, so that `import evalsuite` stays light."""
    if name not in _HOMES:
        raise AttributeError(f"module 'evalsuite' has no attribute '{name}'")
    return getattr(import_module(_HOMES[name]), name)
