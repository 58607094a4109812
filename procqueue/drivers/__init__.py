"""Storage adapters: the contract that every store keeps, and one package for each store.

Start with contract.py.
"""
