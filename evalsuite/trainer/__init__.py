"""Evaluation inside a training loop: `Evaluator`."""

from evalsuite.trainer.evaluator import Evaluator

__all__ = ["Evaluator"]
