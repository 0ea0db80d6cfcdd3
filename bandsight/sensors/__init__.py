"""Sensor profiles, and matching the files of a scene to one."""
