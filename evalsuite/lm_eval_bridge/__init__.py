"""lm-evaluation-harness, both ways: its definitions on our engine, our engine under its command, its results
as our runs.

`index`, `definition`, `protocol`, `harness`, `documents`, `verdicts`: a task that only lm-eval defines, run
by evalsuite. `model`, `register`, `__main__`: evalsuite's engine as a model of lm-eval. `importing`,
`imported`, `records`, `results_files`: results of lm-eval as a run folder.
"""
