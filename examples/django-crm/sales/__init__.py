"""Deals, tasks, notes."""
