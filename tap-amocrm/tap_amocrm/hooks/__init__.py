"""Webhooks as hints: a receiver that notes which records amoCRM names, and the queue in which the tap finds them."""
