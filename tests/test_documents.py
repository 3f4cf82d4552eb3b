"""The documents are true: commands stand where a reader finds them, tables match the code."""

from __future__ import annotations

import configparser
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tempolite.core.status import ALLOWED, Status
from tempolite.store.schema import LAYOUT

ROOT = Path(__file__).parents[1]
LINE_MAX = 120
DOCUMENTS = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]


def test_the_readme_shows_the_first_example_as_it_is() -> None:
    """What a newcomer copies is what is tested."""
    shown = fenced_blocks(document("README.md"), "python")

    assert shown[0] == document("examples/first_order.py")


@pytest.mark.parametrize("heading", ["Run it", "Test it"])
def test_the_readme_has_one_block_of_commands_under_each_heading(heading: str) -> None:
    """A chain that stops at the first failure, in a script and in a terminal alike."""
    (block,) = fenced_blocks(section(document("README.md"), heading), "bash")

    *chained, last = block.splitlines()
    assert all(line.endswith(" &&") for line in chained)
    assert not last.endswith("&&")


def test_the_commands_refuse_an_older_python_in_words() -> None:
    """The first line of both blocks says what is needed."""
    blocks = [
        fenced_blocks(section(document("README.md"), heading), "bash")[0] for heading in ("Run it", "Test it")
    ]

    lines = {block.splitlines()[0] for block in blocks}

    (line,) = lines
    older = line.replace("sys.version_info", "(3, 10)").removesuffix(" &&").replace("python3", sys.executable)
    done = subprocess.run(older, shell=True, capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stderr.strip()) == (1, "Tempolite needs Python 3.11 or newer")


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_into_the_project_leads_somewhere(path: Path) -> None:
    """Links to other sites are not looked at."""
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", path.read_text("utf-8"))

    missing = [link for link in links if "://" not in link and not (path.parent / link).exists()]

    assert not missing


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_no_line_of_a_document_is_too_long_for_a_screen(path: Path) -> None:
    """Rows of tables can't be broken."""
    lines = enumerate(path.read_text("utf-8").splitlines(), start=1)

    assert not [number for number, line in lines if len(line) > LINE_MAX and not line.startswith("|")]


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_to_a_heading_finds_it(path: Path) -> None:
    """As GitHub makes anchors of headings."""
    links = re.findall(r"\]\(([^):#]*)#([^)]+)\)", path.read_text("utf-8"))

    missing = [
        (page, anchor)
        for page, anchor in links
        if anchor not in anchors(path.parent / page if page else path)
    ]

    assert not missing


def test_the_documented_transitions_are_those_of_the_code() -> None:
    """The table in docs/architecture.md is drawn from ``ALLOWED``."""
    rows = re.findall(r"^\| `([A-Z]+)` \| (.+) \|$", document("docs/architecture.md"), re.MULTILINE)

    documented = {before: set(re.findall(r"[A-Z]+", after)) for before, after in rows}

    assert documented == {status: set(ALLOWED[status]) - {status} for status in Status}


def test_the_documented_floors_are_those_of_the_contract() -> None:
    """From top to bottom, in the order in which imports may point."""
    rows = re.findall(r"^\| (`tempolite\..+?) \| ", document("docs/architecture.md"), re.MULTILINE)
    contracts = configparser.ConfigParser()
    contracts.read(ROOT / "setup.cfg", "utf-8")
    layers = contracts["importlinter:contract:floors"]["layers"].strip().splitlines()

    documented = [set(re.findall(r"tempolite\.\w+", row)) for row in rows]

    assert documented == [set(re.findall(r"tempolite\.\w+", layer)) for layer in layers]


def test_the_documented_tables_are_those_of_the_schema() -> None:
    """No table lies in the file that the picture leaves out."""
    statements = " ".join(text for step in LAYOUT.migrations for text in step)

    tables = re.findall(r"CREATE TABLE (\w+)", statements)

    part = section(document("docs/architecture.md"), "What lies in the file")
    assert sorted(re.findall(r"^\| `(\w+)` \|", part, re.MULTILINE)) == sorted(tables)


def document(path: str) -> str:
    """The text of a file of the project."""
    return (ROOT / path).read_text("utf-8")


def section(text: str, heading: str) -> str:
    """What stands under a heading, up to the next one."""
    return text.split(f"\n## {heading}\n")[1].split("\n## ")[0]


def anchors(path: Path) -> set[str]:
    """What links to the headings of a document end in."""
    headings = re.findall(r"^#+ (.*)$", path.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading).lower().replace(" ", "-") for heading in headings}


def fenced_blocks(text: str, language: str) -> list[str]:
    """The fenced blocks in that language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
