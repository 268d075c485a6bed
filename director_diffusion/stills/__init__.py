"""stills"""
