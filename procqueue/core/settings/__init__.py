"""The configuration: as records (model), and how TOML texts become them (decode).

Pure: files and the environment are read above core. Read on with model, program, environment, keys (all
of them) and decode; behind them stand sections, queues, processes, names, driver, urls, expand and positions.
effective tells what is in force, and where it was written.
"""
