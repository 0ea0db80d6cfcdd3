"""Subscriptions from requests, and alerts on their way out: webhooks and feeds."""
