"""The tools of the desk's agents, one file each: plain functions over a `Floor`, which `team` gives to Agno.

What goes wrong is the tool's answer ("error: ..."): the agent reads why, and the desk does not trade on it.
"""
