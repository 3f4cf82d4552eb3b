"""Benchmarks: Tempolite beside DBOS on SQLite and beside the floor that SQLite itself sets, in one run.

    __main__ ── runner ──┬── tempolite_side   (this interpreter)      ┐
                 │       ├── dbos_side        (its own environment)   ├─ one process each, one JSON line each
                 │       └── floor            (this interpreter)      ┘
                 └── report ── figures

`plan` says what is measured and how often, `loading` keeps the runs in flight and times them, `figures` holds
medians and ratios (pure), `report` writes the page, `machine` says where it was measured, `dbos_environment`
installs DBOS where the project doesn't see it. No test imports a side; the sides never import each other.
"""
