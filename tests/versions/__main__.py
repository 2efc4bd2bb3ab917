"""Installs evalsuite beside other versions: `python -m tests.versions lowest|newest FOLDER [PYTHON]`.

"lowest" takes the lowest version of every requirement, "newest" what pip finds today.
"""

import subprocess
import sys
from pathlib import Path

from tests.versions import torch_on_a_cpu
from tests.versions.requirements import declared, lowest

ROOT = Path(__file__).resolve().parents[2]
EXTRAS = ("gguf", "test")


def main(which: str, folder: Path, python: str = sys.executable) -> None:
    subprocess.run([python, "-m", "venv", "--clear", folder], check=True)
    versions = list(lowest(declared(EXTRAS))) if which == "lowest" else []
    constraints = folder / "constraints.txt"
    constraints.write_text("".join(f"{version}\n" for version in versions), "utf-8")
    # torch comes first and alone: with its requirements, pip would fetch all of CUDA.
    pip(folder, "--no-deps", "--constraint", constraints, "torch")
    (site_packages,) = folder.glob("lib/python*/site-packages")
    if torch_on_a_cpu.is_for_cuda(site_packages):
        pip(folder, "--no-deps", torch_on_a_cpu.runtime_of(site_packages))
        torch_on_a_cpu.run_without_cuda(site_packages)
    pip(folder, "--constraint", constraints, "--editable", f"{ROOT}[{','.join(EXTRAS)}]")


def pip(folder: Path, *arguments: object) -> None:
    subprocess.run(
        [folder / "bin" / "pip", "install", "--quiet", "--no-compile", *map(str, arguments)],
        check=True,
    )


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]).resolve(), *sys.argv[3:])
