"""Floor 3: what is made.  One module per stage, in lineage order; bodies hand over to the library.

Belongs here: which inputs a stage reads, which library function it calls, how its result is described.  Does not:
maths, model code, file formats, storage paths.
"""
