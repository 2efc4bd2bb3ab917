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
    from evalsuite.decisions.card.compare import compare_with_card
    from evalsuite.decisions.compare.compare import compare
    from evalsuite.decisions.compare.document import Comparison
    from evalsuite.decisions.gate.document import GateReport
    from evalsuite.decisions.gate.gate import gate
    from evalsuite.decisions.trend.trend import trend
    from evalsuite.errors import UserError
    from evalsuite.prompting.spec import PromptSpec
    from evalsuite.results.runlog import RunLog, read_run
    from evalsuite.runs.options import RunOptions
    from evalsuite.task import Task
    from evalsuite.trainer.evaluator import Evaluator
    from evalsuite.types import ClozePair, MultipleChoice, OpenAnswer

_HOMES = {
    "ClozePair": "evalsuite.types",
    "Comparison": "evalsuite.decisions.compare.document",
    "DatasetRef": "evalsuite.data.refs",
    "Evaluator": "evalsuite.trainer.evaluator",
    "GateReport": "evalsuite.decisions.gate.document",
    "MultipleChoice": "evalsuite.types",
    "OpenAnswer": "evalsuite.types",
    "Pin": "evalsuite.data.refs",
    "PromptSpec": "evalsuite.prompting.spec",
    "RunLog": "evalsuite.results.runlog",
    "RunOptions": "evalsuite.runs.options",
    "Task": "evalsuite.task",
    "UserError": "evalsuite.errors",
    "compare": "evalsuite.decisions.compare.compare",
    "compare_with_card": "evalsuite.decisions.card.compare",
    "gate": "evalsuite.decisions.gate.gate",
    "plan": "evalsuite.api",
    "read_run": "evalsuite.results.runlog",
    "run": "evalsuite.api",
    "trend": "evalsuite.decisions.trend.trend",
}

__all__ = [
    "ClozePair",
    "Comparison",
    "DatasetRef",
    "Evaluator",
    "GateReport",
    "MultipleChoice",
    "OpenAnswer",
    "Pin",
    "PromptSpec",
    "RunLog",
    "RunOptions",
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


__version__: str
"""The installed version; only pyproject.toml states it."""


def __getattr__(name: str) -> Any:
    """Public names load when they are used, so that `import evalsuite` stays light."""
    if name == "__version__":
        from importlib import metadata

        return metadata.version("evalsuite")
    if name not in _HOMES:
        raise AttributeError(f"module 'evalsuite' has no attribute '{name}'")
    return getattr(import_module(_HOMES[name]), name)
