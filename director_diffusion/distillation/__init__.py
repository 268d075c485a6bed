"""Distillation: few-step students of an adapter, from their teacher's trajectories to their files.

Belongs here: how a teacher goes down the noise, what a student learns of it, and who learns when (`school`).  Does
not: the loop that they learn in (`training`), drawing with them (`sampling`), what they keep of their teacher
(`evaluation`).
"""
