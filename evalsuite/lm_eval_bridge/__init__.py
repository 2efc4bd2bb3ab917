"""lm-evaluation-harness, both ways: its definitions on our engine, our engine under its command, its results as our runs.

`index`, `definition`, `documents`, `verdicts`: a task that only lm-eval defines, run by evalsuite.
`model`, `__main__`: evalsuite's engine as a model of lm-eval. `importing`: results of lm-eval as a run folder.
"""
