"""Evaluation of models on labelled images: retrieval, zero-shot classification, bands, paraphrases, calibration."""
