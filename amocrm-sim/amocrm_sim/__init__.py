"""amocrm-sim: a local amoCRM for demos, tests and benchmarks. It knows the API from the vendor's pages, not from the tap."""

__version__ = "0.1.0"
