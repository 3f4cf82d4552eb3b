"""What a user holds: the engine, and handles of runs.

::

    engine      Tempolite, put together from: lifecycle   start, close, what every call asks first
                                              running     execute, wait, outcomes
                                              cloning     retry, fork
                                              looking     lists, histories, trees, queues, figures
                                              following   the log of all events
                                              keeping     deletion, space, copies, checks
    handle      WorkflowInfo
    run_store   runs in the file, and how they come to life; deletable_runs how they go
    verifying   what a check of the file looks at
    listing     Page, Event, QueueInfo, Node, Metrics, filters
"""
