"""The scripted monthly review: a configuration and a period in, a folder of files out.

job.py runs it; scans.py reads each source once; comparisons.py finds what to compare with; runs.py
judges one KPI, answers.py is what it says; cards.py scores sites and moderators; history.py keeps
every month, remembered.py sets a KPI beside it; actions.py follows up; messages.py and output.py
write.
"""
