"""Devices, processes and malloc."""
