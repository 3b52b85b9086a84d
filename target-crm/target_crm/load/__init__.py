"""One load: buffers records, merges batches, isolates what fails, commits, releases STATE."""
