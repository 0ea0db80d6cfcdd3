"""The demo: real scenes of several sensors, indexed and searched."""
