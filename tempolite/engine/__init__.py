"""What a user holds: the engine, and handles of runs.

::

    engine      Tempolite, put together from: lifecycle   start, close, what every call asks first
                                              running     execute, wait, outcomes
                                              looking     lists, histories, queues
    handle      WorkflowInfo
    run_store   runs in the file, and how they come to life
    listing     Page, Event, QueueInfo, filters
"""
