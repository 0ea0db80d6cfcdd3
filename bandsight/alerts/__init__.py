"""Subscriptions, and delivery of alerts by webhook, e-mail and feed."""
