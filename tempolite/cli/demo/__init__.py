"""The first thing that a newcomer runs: a batch of orders, two murders, and an independent judge.

::

    command ── driver ──▶ batch, a process of its own: the engine  ◀──SIGKILL, and once more from the file
       │         │          workflow ── activities ──▶ effect log
       │         └── watches the effect log ◀──────────────┘
       ├── judge: effect log and input file, nothing else ──▶ verdict
       └── screen: what a person sees

Read ``workflow.py`` first: it is what a user of Tempolite writes. ``batch.py`` is the program around it,
``activities.py`` and ``orders.py`` are the shop. The rest makes trouble and looks whether it did harm.
"""
