"""Peers: what people use today, each in a separate virtual environment."""
