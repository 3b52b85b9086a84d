"""Companies and the people who work there."""
