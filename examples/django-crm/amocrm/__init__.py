"""What a model needs so that target-crm can keep its rows in step with amoCRM. Copy this package into your project."""
