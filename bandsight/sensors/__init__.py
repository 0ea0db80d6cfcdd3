"""Sensor profiles, and how the files of a scene are matched to one."""
