"""`hookline bench`: the real service under load, measured from outside.

Read in this order: command → scenarios → stage (the processes of one run) → flows (what is done to
them) → measure → results → report. The load generator (load) and the receiver run as processes of
their own; events is what they exchange, counters and control how they are watched and told.
"""
