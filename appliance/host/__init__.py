"""Room 2: the machine itself, one module a concern: interfaces, cores.

Each looks, applies and undoes; nothing here knows about orders.
"""
