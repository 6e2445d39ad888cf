"""The deterministic simulator: the whole appliance in one process, under one seed (`world.py`)."""
