"""What somebody, or a broken disk, might put before the project.

Belongs here: image files, text files and configs that are broken or made to harm, and the places that they are put in.
"""
