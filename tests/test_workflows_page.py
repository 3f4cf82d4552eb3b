"""``docs/workflows.md`` is true: its program does what it says, its tables leave nothing out."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from tempolite import AsyncWorkflowContext, Status, WorkflowContext

PAGE = (Path(__file__).parents[1] / "docs" / "workflows.md").read_text("utf-8")
PROGRAM_S = 60


def test_the_program_of_the_page_runs_and_runs_again(tmp_path: Path) -> None:
    """With the history that the page shows; started once more it finds the run that is there."""
    (program,) = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    (tmp_path / "shop.py").write_text(program, "utf-8")

    starts = [
        subprocess.run(
            [sys.executable, "shop.py"], cwd=tmp_path, capture_output=True, text=True, timeout=PROGRAM_S
        )
        for _ in range(2)
    ]

    first, again = (done.stdout for done in starts)
    assert first.startswith("('order-7: 2 chair, 180 €', 'order-7 is on its way')\n"), starts[0].stderr
    assert "ActivityCompleted 'price' {'result': 90}\n" in first
    assert again == first, starts[1].stderr


def test_the_table_has_all_that_a_context_gives() -> None:
    """No public name is left out, and none is made up."""
    contexts = {name for kind in (WorkflowContext, AsyncWorkflowContext) for name in dir(kind)}
    rows = [row for row in PAGE.splitlines() if row.startswith("| `ctx.")]

    listed = {name for row in rows for name in re.findall(r"`ctx\.(\w+)", row.split(" | ")[0])}

    assert listed == {name for name in contexts if not name.startswith("_")}


def test_the_table_says_what_to_do_in_every_status_but_the_good_ones() -> None:
    """Whoever looks at a run that does not go on finds its row."""
    rows = set(re.findall(r"^\| `([A-Z]+)` \|", PAGE, re.MULTILINE))

    assert rows == set(Status) - {Status.RUNNING, Status.COMPLETED}
