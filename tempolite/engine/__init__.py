"""What a user holds: the engine, and handles of runs.

::

    engine      Tempolite: starts, stops, and turns calls into messages     handle   WorkflowInfo
    run_store   runs in the file, and how they come to life                 listing  Page, Event, filters
"""
