"""Evaluation inside a training loop.

Public names: `Evaluator`, and `evaluation_callback` for the Trainer of transformers.
"""

from evalsuite.trainer.evaluator import Evaluator

__all__ = ["Evaluator"]
