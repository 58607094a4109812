"""supervisord.conf → our TOML: reader.py, expand.py, section.py, program.py, translate.py, in this order.

The file is read with the quirks of Supervisor 4.3, because what it says is what Supervisor makes of it.
"""
