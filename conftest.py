"""What all test suites share."""

pytest_plugins = ["stalls"]
