"""Power cuts, replayed: what a writer did to the disk is recorded, and what a cut could have left of it is looked at.

`make test-power` runs the long form.
"""
