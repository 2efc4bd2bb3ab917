"""`--engine-arg graphs=no`: texts on a GPU without CUDA graphs.

With them (the default) the passes that add a token to every text are recorded and replayed as one launch. No request's
key names this: like the number of rows at work it decides how a pass is cut, and so the last digits of its logits.
They are never used on other devices, by models in several parts (`spread`, tensor parallelism), or with
`deterministic=yes`.
"""

SETTING = "graphs"
