"""Packages are found, so that a new folder needs no entry; three of them lie outside of `evalsuite/`."""

from setuptools import find_packages, setup

OUTSIDE = {"evalsuite.cards": "results/cards", "evalsuite.prompts": "prompts", "evalsuite.tasks": "tasks"}

setup(
    packages=[*find_packages(include=["evalsuite", "evalsuite.*"]), *OUTSIDE],
    package_dir={"evalsuite": "evalsuite", **OUTSIDE},
)
