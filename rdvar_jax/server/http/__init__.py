"""Requests and answers, and the operator's page."""
