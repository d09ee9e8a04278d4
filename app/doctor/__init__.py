"""The doctor: what is wrong with an installation, and the cure, on one page. No network, and nothing is changed.

It is started where little may work: only the standard library is imported, everything else in a process of its own (probes.py)
or where it may fail. To add an examination: a function that answers with `Finding`s, and a row in `checkup.EXAMINATIONS`.
"""
