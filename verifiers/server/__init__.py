"""A reward over HTTP: `rlvr serve`, or `create_app` in `rlvr.verifiers.server.app` for a server of one's own.

    app        the routes, and what each answers
    service    how a request waits for its verdicts
    models     what goes in and out; the page at /docs shows them
    protocols  OpenRLHF's and slime's remote rewards, as pairs to judge and as answers
    pool       worker processes in two lanes, a bounded queue, deadlines
    child      one worker process without blocking the event loop;  worker: its other side
    lanes      what waits, in turn;  pace: how fast it goes
    limits     tokens and the size of bodies, before any route
    metrics    what /metrics tells

Only this docstring is loaded with the package: FastAPI is needed for `app`, `models` and `metrics`.
"""
