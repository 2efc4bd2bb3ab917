"""lm-eval's own command, with `evalsuite` among its models:
`python -m evalsuite.lm_eval_bridge run --model evalsuite`."""

from lm_eval.__main__ import cli_evaluate

from evalsuite.lm_eval_bridge.register import register

register()
cli_evaluate()
