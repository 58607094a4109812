"""The configuration: as records (model), and how TOML texts become them (decode).

Pure: files and the environment are read above core. Read on with model, keys (the table of all keys) and
decode; behind them stand sections, queues, driver, urls, expand and positions.
"""
