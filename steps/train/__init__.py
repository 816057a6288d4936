"""Train: a light supervisor a node (PID 1, no torch), one worker a GPU, checkpoints in the store, and an exit code that tells why.

`supervisor` runs the gang, `worker` and `callback` run LLaMA-Factory, `events` is what they tell each other.
"""
