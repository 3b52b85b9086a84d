"""What a load would change, and how a dry run shows it."""
