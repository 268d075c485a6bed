"""Peers: setting our training beside diffusers' own scripts.

Belongs here: what both sides are asked to do, the commands that do it, and what is measured from outside of them.
Nothing of diffusers is: a checkout of it is given by the caller, and its scripts are run as they are.  The modules that
are run as processes of their own (`bases`, `prepare`, `ours`, `judge`) alone import torch, so that a measured process
is the child of a small one: what a child's peak memory is counted from is its parent's.
"""
