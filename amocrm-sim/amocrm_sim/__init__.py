"""amocrm-sim: a local amoCRM for demos, tests and benchmarks. It knows the API from the vendor's pages only."""

__version__ = "0.2.0"
