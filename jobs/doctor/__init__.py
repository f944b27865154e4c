"""`cogtui doctor`: what works on this machine, and what is limited by something missing.

Import `checks.examine`, `checks.plugin_findings` and `checks.Finding`; `gpu` compares versions with the GPU lock file.
"""
