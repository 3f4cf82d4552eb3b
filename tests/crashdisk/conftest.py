"""Folders that the tests of the crash disk work in."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crashdisk import image_folder


@pytest.fixture
def folder() -> Iterator[Path]:
    """Where a workload runs."""
    with image_folder() as path:
        yield path


@pytest.fixture
def images() -> Iterator[Path]:
    """Where crash states are written."""
    with image_folder() as path:
        yield path
