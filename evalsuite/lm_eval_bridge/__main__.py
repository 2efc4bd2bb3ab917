"""lm-eval's command with the model `evalsuite`.

python -m evalsuite.lm_eval_bridge run --model evalsuite
"""

from lm_eval.__main__ import cli_evaluate

from evalsuite.lm_eval_bridge.register import register

register()
cli_evaluate()
