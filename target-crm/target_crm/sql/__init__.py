"""SQL of the target: files for what is fixed, modules that compose what depends on the mapping."""
