"""Lets a torch wheel for CUDA run on a CPU without CUDA's libraries (2.5 GB).

PyPI has no CPU build of torch for Linux on x86-64. torch's libraries name those of CUDA, so `import torch`
fails where one is missing. But without a GPU it calls only the runtime (libcudart, 2 MB), which says that
there is none; so the runtime is installed, and gcc builds stand-ins for the others: libraries of the same
names with the same functions, each of which ends the process.
"""

import re
import subprocess
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

NOT_CALLED = re.compile(r"lib(cu(blas|dnn|fft|file|pti|rand|solver|sparse)|nccl|nvrtc|nvshmem)")
"""CUDA's libraries, but for the runtime and the driver (libcuda)."""
PREFIXES = {"libnccl": "nccl", "libcufile": "cuFile", "libcusparseLt": "cusparseLt"}
"""The beginning of function names, for libraries whose functions have no version."""
CUDA = re.compile(r"Requires-Dist: (cuda|nvidia|triton)")
FUNCTIONS = """#include <stdio.h>
#include <stdlib.h>
#define STAND_IN(name) void name(void) { fputs(#name ": CUDA is not installed\\n", stderr); abort(); }
"""


@dataclass
class Asked:
    """What the libraries in torch's folder ask of other libraries."""

    libraries: set[str] = field(default_factory=set)
    functions: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    """Names by version, "" for none. Of CUDA's libraries, most call the version by their own name."""


def is_for_cuda(site_packages: Path) -> bool:
    """Whether the installed torch needs CUDA's libraries."""
    return any(CUDA.match(line) for line in _metadata(site_packages).read_text("utf-8").splitlines())


def runtime_of(site_packages: Path) -> str:
    """The requirement of the CUDA runtime that the installed torch was built with."""
    toolkit = re.search(r"cuda-toolkit.*?==(\d+\.\d+)\.", _metadata(site_packages).read_text("utf-8"))
    assert toolkit, "torch's requirements do not name the version of CUDA"
    return f"nvidia-cuda-runtime=={toolkit[1]}.*"


def run_without_cuda(site_packages: Path) -> None:
    """Put stand-ins beside torch's libraries, and drop CUDA from the requirements that pip reads.

    Raises:
        CalledProcessError: readelf or gcc fails.
    """
    folder = site_packages / "torch" / "lib"
    asked = _asked([*folder.glob("*.so*"), *folder.parent.glob("_C*.so")])
    for library in filter(NOT_CALLED.match, asked.libraries):
        _build(folder / library, asked.functions)
    lines = _metadata(site_packages).read_text("utf-8").splitlines(keepends=True)
    _metadata(site_packages).write_text("".join(line for line in lines if not CUDA.match(line)), "utf-8")


def _metadata(site_packages: Path) -> Path:
    (path,) = site_packages.glob("torch-*.dist-info/METADATA")
    return path


def _asked(libraries: list[Path]) -> Asked:
    asked = Asked()
    for library in libraries:
        for line in _lines("readelf", "--wide", "--dynamic", library):
            if named := re.search(r"\(NEEDED\).*\[(.+)\]", line):
                asked.libraries.add(named[1])
        for line in _lines("readelf", "--wide", "--dyn-syms", library):
            fields = line.split()  # number, value, size, type, binding, visibility, section, name@version
            if len(fields) > 7 and fields[6] == "UND":
                name, _, version = fields[7].partition("@")
                asked.functions[version].add(name)
    return asked


def _build(library: Path, functions: dict[str, set[str]]) -> None:
    stem = library.name.partition(".so")[0]
    version = "NVSHMEM" if stem == "libnvshmem_host" else library.name
    names = functions.get(version) or {
        name for name in functions[""] if name.startswith(PREFIXES.get(stem, stem))
    }
    script = library.with_name(f"{library.name}.map")
    script.write_text(f"{version} {{ global: *; }};\n")
    source = FUNCTIONS + "".join(f"STAND_IN({name})\n" for name in sorted(names))
    command = [
        "gcc",
        "-w",
        "-shared",
        "-fPIC",
        "-x",
        "c",
        "-",
        f"-Wl,--version-script={script}",
        "-o",
        library,
    ]
    subprocess.run(list(map(str, command)), input=source, text=True, check=True)
    script.unlink()


def _lines(*command: object) -> Iterator[str]:
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=True)
    yield from done.stdout.splitlines()
