"""What somebody, or a broken disk, might put before the project: image files, text files and configs."""
