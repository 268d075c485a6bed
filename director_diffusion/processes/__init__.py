"""Processes: how a base mixes image and noise, and what it has learned to predict.

Belongs here: forward processes, targets and weights as pure functions in the papers' letters, and which noise levels a
training visits.  How an architecture predicts is its family's; the loop is `director_diffusion.training`'s.

Time t is a process's own: of a flow the noise level sigma in [0, 1], of a diffusion its timestep 0 … T - 1.
"""

from director_diffusion.processes.base import Process as Process
from director_diffusion.processes.diffusion import Diffusion as Diffusion
from director_diffusion.processes.flow import Flow as Flow
