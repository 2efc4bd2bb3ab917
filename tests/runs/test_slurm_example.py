"""The scripts of examples/slurm, with a stand-in for Slurm that runs each job at once on this machine."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import evalsuite
from tests.runs.bench import ADDRESSES, Bench

EXAMPLE = Path(__file__).parents[2] / "examples" / "slurm"

SBATCH = """#!{python}
import os, re, subprocess, sys
script = sys.argv[-1]
array = next((one for one in sys.argv if one.startswith("--array=")), None)
first, last = map(int, re.fullmatch(r"--array=([0-9]+)-([0-9]+)", array).groups()) if array else (0, 0)
for index in range(first, last + 1):
    subprocess.run(["bash", script], env={{**os.environ, "SLURM_ARRAY_TASK_ID": str(index)}}, check=True,
                   stdout=sys.stderr)
print("77;cluster" if "--parsable" in sys.argv else "Submitted batch job 78")
with open(os.environ["SUBMITTED"], "a") as file:
    print(*sys.argv[1:], file=file)
"""


@pytest.mark.slow
def test_an_array_and_its_merge_are_one_run(tmp_path, model):
    bench = Bench.make(tmp_path, documents=4)
    tools = tmp_path / "tools"
    tools.mkdir()
    options = f"--device cpu --include {bench.plugin}"
    evalsuite_tool = (
        f'#!/bin/bash\nverb=$1; shift\ncase $verb in merge) options="--include {bench.plugin}";; '
        f'*) options="{options}";; esac\nexec {sys.executable} -m evalsuite $verb "$@" $options\n'
    )
    scripts = {
        "sbatch": SBATCH.format(python=sys.executable),
        "srun": '#!/bin/bash\nexec "$@"\n',
        "evalsuite": evalsuite_tool,
    }
    for name, text in scripts.items():
        (tools / name).write_text(text, "utf-8")
        (tools / name).chmod(0o755)
    environment = {
        **os.environ,
        "PATH": f"{tools}:{os.environ['PATH']}",
        "TASKS": ",".join(ADDRESSES),
        "MODEL": str(model),
        "RUN": str(tmp_path / "run"),
        "EVALSUITE_DATA": str(bench.data),
        "SUBMITTED": str(tmp_path / "submitted"),
    }
    done = subprocess.run(
        ["bash", str(EXAMPLE / "submit.sh"), "2"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    array, dependent = (tmp_path / "submitted").read_text("utf-8").splitlines()
    assert "--array=0-1" in array
    assert "--dependency=afterany:77 " in dependent
    one = evalsuite.run(
        ADDRESSES, str(model), data=bench.data, include=[bench.plugin], out=tmp_path / "one", device="cpu"
    )
    log = evalsuite.read_run(tmp_path / "run" / "merged")
    assert log.status == "complete"
    assert [task.metrics for task in log.tasks] == [task.metrics for task in one.tasks]
