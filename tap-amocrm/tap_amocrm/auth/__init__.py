"""Tokens: the long-lived one, or OAuth 2."""
