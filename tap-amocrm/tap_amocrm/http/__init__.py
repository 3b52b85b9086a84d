"""The HTTP client: rate limit, concurrency, retries, clocks."""
