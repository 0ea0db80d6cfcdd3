"""Figures for any model on any labelled images: retrieval, zero-shot classes, bands, wordings, calibration."""
