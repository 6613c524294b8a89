"""Adapters: one class a service, returning the records of model.py; they decide nothing."""
